-- grain: window into which a gauge's last value continues, where there is one; that value
with
windows as (select * from {{ ref('carried_windows') }}),

meters as (
    select * from {{ ref('stg_catalog__meters') }}
    where meter_id in (select meter_id from windows)
),

series as (
    select distinct
        series_id,
        customer_id,
        meter_id,
        filter_paths,
        filter_values,
        min(window_start) over (partition by series_id) as first_start,
        max(window_start) over (partition by series_id) as last_start
    from windows
),

known as (
    select
        series.series_id,
        readings.*,
        readings.occurred_at < series.first_start as is_before
    from ({{ readings_by('meters') }}) as readings
    inner join series
        on readings.customer_id = series.customer_id
        and readings.meter_id = series.meter_id
        -- an event is carried into what begins after it
        and readings.occurred_at < series.last_start
    where
        readings.value is not null
        and {{ matches_filter('readings.properties', 'series.filter_paths', 'series.filter_values') }}
),

-- in order of time: values, and the starts of windows, which ask for the last one. Of those before
-- the first window only the last matters, and is found without sorting them.
steps as (
    select
        series_id, null as window_id, null as carried_since, max(occurred_at) as occurred_at,
        1 as place, null as source_file, null as source_row,
        max_by(value, (occurred_at, source_file, source_row)) as value
    from known
    where is_before
    group by series_id
    union all
    select series_id, null, null, occurred_at, 1, source_file, source_row, value
    from known
    where not is_before
    union all
    select series_id, window_id, carried_since, window_start, 0, null, null, null
    from windows
),

numbered as (
    select
        *,
        count(value) over (
            partition by series_id order by occurred_at, place, source_file, source_row
            rows between unbounded preceding and current row
        ) as value_number
    from steps
),

held as (
    select
        *,
        max(value) over (partition by series_id, value_number) as carried_value,
        min(occurred_at) over (partition by series_id, value_number) as carried_from
    from numbered
    where value_number > 0
)

select window_id, carried_value, carried_from
from held
where window_id is not null and (carried_since is null or carried_from >= carried_since)
