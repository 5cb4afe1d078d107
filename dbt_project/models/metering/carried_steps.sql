{{ config(materialized=stored_on_spark()) }}
-- grain: what is known of a gauge before windows into which it continues, by group: readings, and the
-- starts of windows (`place` 0), which ask for the last of them. Of those before the first window
-- only the last matters, and is found without sorting them.
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
        plan_id,
        reads_subscription_id,
        reads_unnamed,
        filter,
        filter_rest,
        min(window_start) over (partition by series_id) as first_start,
        max(window_start) over (partition by series_id) as last_start
    from windows
),

series_keys as (
    select series.*, filters.paths, filters.texts, filters.bounds
    from series
    inner join {{ source('raw', 'filters') }} as filters on series.filter = filters.filter
),

readings as (
    select * from ({{ readings_by('meters') }}) as events where value is not null
    union all
    select * from {{ ref('correction_readings') }} where value is not null
),

-- a reading is carried into what begins after it
known as (
    {{ matched(
        'readings', 'series_keys', 'facts.occurred_at < keys.last_start',
        ['series_id', 'first_start'], 'reads_subscription_id', 'keys.reads_unnamed'
    ) }}
)

select
    series_id, group_values, null as window_id, null as carried_since,
    max(occurred_at) as occurred_at, 1 as place, null as source_file, null as source_row,
    max_by(value, (occurred_at, is_correction, source_file, source_row)) as value
from known
where occurred_at < first_start
group by series_id, group_values
union all
select
    series_id, group_values, null, null, occurred_at, case when is_correction then 2 else 1 end,
    source_file, source_row, value
from known
where occurred_at >= first_start
union all
select
    windows.series_id, groups.group_values, windows.window_id, windows.carried_since,
    windows.window_start, 0, null, null, null
from windows
inner join (select distinct series_id, group_values from known) as groups
    on windows.series_id = groups.series_id
