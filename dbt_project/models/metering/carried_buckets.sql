{{ config(materialized=stored_on_spark()) }}
-- grain: window of a gauge carried forward from bucket to bucket × bucket that begins or goes on in it
with
windows as (
    select * from {{ ref('usage_windows') }} where is_carried and bucket is not null
),

-- most windows share their edges, and a month has 1,488 half hours
spans as (
    select distinct
        bucket,
        bucket_zone,
        window_start,
        window_end,
        epoch_us(window_end) as end_us,
        local_bucket(bucket_zone, 'half_hour', epoch_us(window_start)) as first_us
    from windows
),

counted as (
    select *, whole_quotient(end_us - first_us - 1, 1800000000) + 1 as last_step from spans
),

-- by half hours, as no clock changes by less; where one skips the half of an hour, that hour is
-- begun in its second half
steps as (
    select
        *,
        {{ each_number('0', 'last_step') }} as step
    from counted
),

buckets as (
    select distinct
        bucket,
        bucket_zone,
        window_start,
        window_end,
        local_bucket(bucket_zone, bucket, (first_us + step * 1800000000)::bigint) as bucket_start
    from steps
)

select windows.window_id, buckets.bucket_start
from windows
inner join buckets
    on
        windows.bucket = buckets.bucket
        and windows.bucket_zone = buckets.bucket_zone
        and windows.window_start = buckets.window_start
        and windows.window_end = buckets.window_end
