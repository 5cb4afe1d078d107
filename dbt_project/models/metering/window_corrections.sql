-- grain: window of a meter that adds up; the signed corrections of its usage
with
corrections as (select * from {{ ref('stg_accounts__usage_corrections') }}),
windows as (
    select * from {{ ref('usage_windows') }}
    where aggregation in ({{ aggregations_where('adds_up') }})
)

select
    windows.window_id,
    sum(corrections.quantity) as corrected_quantity,
    count(*) as correction_count
from windows
inner join corrections
    on windows.customer_id = corrections.customer_id
    and windows.event_name = corrections.event_name
    and corrections.occurred_at >= windows.window_start
    and corrections.occurred_at < windows.window_end
where {{ matches_filter('corrections.properties', 'windows.filter_paths', 'windows.filter_values') }}
group by windows.window_id
