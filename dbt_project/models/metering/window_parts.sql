{{ config(materialized=stored_on_spark()) }}
-- grain: window of a gauge that is measured for each group or bucket × group × bucket, and what is
-- carried into the window (`place` 0); every aggregation over its events
with
readings as (select * from {{ ref('metered_events') }} where is_split),
windows as (select * from {{ ref('usage_windows') }} where is_split),

totals as (
    {{ totals_by(['window_id', 'group_values', 'bucket_start'], 'readings') }}
),

carried as (
    select * from {{ ref('carried_values') }}
    where window_id in (select window_id from windows)
),

groups as (
    select window_id, group_values from totals
    union
    select window_id, group_values from carried
),

-- what is carried into the window stands before its buckets; a window without is one itself
parts as (
    select
        window_id, group_values, bucket_start, 1 as place,
        value_max, value_latest, unique_values, value_percentile
    from totals
    union all
    select window_id, group_values, null, 0, null, carried_value, null, null
    from carried
    union all
    select groups.window_id, groups.group_values, buckets.bucket_start, 1, null, null, null, null
    from groups
    inner join {{ ref('carried_buckets') }} as buckets on groups.window_id = buckets.window_id
    union all
    select groups.window_id, groups.group_values, null, 1, null, null, null, null
    from groups
    inner join windows on groups.window_id = windows.window_id
    where windows.bucket is null
)

select
    window_id, group_values, bucket_start, place,
    max(value_max) as value_max, max(value_latest) as value_latest,
    max(unique_values) as unique_values, max(value_percentile) as value_percentile
from parts
group by window_id, group_values, bucket_start, place
