{{ config(materialized=stored_on_spark()) }}
-- grain: window of a gauge carried forward from bucket to bucket × bucket that begins or goes on in it
with
windows as (
    select
        window_id,
        bucket,
        bucket_zone,
        epoch_us(window_end) as end_us,
        local_bucket(bucket_zone, 'half_hour', epoch_us(window_start)) as first_us
    from {{ ref('usage_windows') }}
    where is_carried and bucket is not null
),

counted as (
    select *, whole_quotient(end_us - first_us - 1, 1800000000) + 1 as last_step from windows
),

-- by half hours, as no clock changes by less; where one skips the half of an hour, that hour is
-- begun in its second half
steps as (
    select
        *,
        {{ each_number('0', 'last_step') }} as step
    from counted
)

select distinct
    window_id,
    local_bucket(bucket_zone, bucket, (first_us + step * 1800000000)::bigint) as bucket_start
from steps
