-- grain: window; every aggregation over its events
with
partial_windows as (select * from {{ ref('window_keys') }} where not is_whole_month),
partial_readings as (
    {{ measured(ref('meter_readings'), 'partial_windows') }}
),
partial_totals as (
    {{ totals_by(['window_id'], 'partial_readings as readings') }}
)

select windows.window_id, totals.* {{ exclude('customer_id', 'meter_id') }}
from {{ ref('month_totals') }} as totals
inner join {{ ref('usage_windows') }} as windows
    on totals.customer_id = windows.customer_id
    and totals.meter_id = windows.meter_id
where windows.is_whole_month
union all
select * from partial_totals
