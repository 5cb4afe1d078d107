{{ config(materialized='view') }}
-- grain: reading × window that measures it
select
    windows.window_id,
    windows.is_whole_month,
    readings.* {{ exclude('properties') }}
from {{ ref('meter_readings') }} as readings
inner join {{ ref('usage_windows') }} as windows
    on readings.customer_id = windows.customer_id
    and readings.meter_id = windows.meter_id
    and readings.occurred_at >= windows.window_start
    and readings.occurred_at < windows.window_end
where {{ matches_filter('readings.properties', 'windows.filter_paths', 'windows.filter_values') }}
