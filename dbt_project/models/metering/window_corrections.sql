-- grain: window of a meter that adds up; the signed corrections of its usage
with
windows as (
    select * from {{ ref('window_keys') }}
    where aggregation in ({{ aggregations_where('adds_up') }})
),

corrections as (
    select
        row_number() over (order by corrections.correction_id) as row_id,
        meters.meter_id,
        cast(null as varchar(20)) as subscription_id,
        corrections.*
    from {{ ref('stg_accounts__usage_corrections') }} as corrections
    inner join {{ ref('stg_catalog__meters') }} as meters
        on corrections.event_name = meters.event_name
),

matched as (
    {{ measured('corrections', 'windows') }}
)

select
    window_id,
    sum(quantity) as corrected_quantity,
    count(*) as correction_count
from matched
group by window_id
