-- grain: customer × event name some of whose events of the month perhaps no price charges: no price
-- reads them whole through the month, and no limit counts them.
with
meters as (select * from {{ ref('stg_catalog__meters') }} where event_name is not null),
run as (select * from {{ ref('stg_run') }}),

read_whole as (
    select distinct times.customer_id, meters.event_name
    from {{ ref('reading_times') }} as times
    inner join meters on times.meter_id = meters.meter_id
    cross join run
    left join {{ ref('customers_naming_subscriptions') }} as naming
        on times.customer_id = naming.customer_id
    where
        times.feature is not null
        or (
            times.filter = ''
            and times.starts_at <= run.month_start
            and times.ends_at >= run.month_end
            -- what names a subscription is read by the prices of that one only
            and naming.customer_id is null
        )
),

possible as (
    {{ possible_usage() }}
)

select possible.*
from possible
left join read_whole
    on possible.customer_id = read_whole.customer_id
    and possible.event_name = read_whole.event_name
where read_whole.customer_id is null
