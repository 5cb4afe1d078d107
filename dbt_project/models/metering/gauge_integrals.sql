-- grain: window of a time_weighted_average or of gauge_hours; the integral of the gauge over the
-- window's time or over hours, of all groups together. It is summed as whole quantities × µs and
-- fractions (10^-18) × µs, so that neither leaves 38 digits.
with
windows as (
    select
        *,
        case aggregation
            when 'gauge_hours' then 3600000000
            else epoch_us(window_end) - epoch_us(window_start)
        end as unit_us
    from {{ ref('usage_windows') }}
    where aggregation in ('time_weighted_average', 'gauge_hours')
),

points as (
    select
        window_id, group_values, occurred_at, is_correction, source_file, source_row, value
    from {{ ref('metered_events') }}
    where aggregation in ('time_weighted_average', 'gauge_hours') and value is not null
    union all
    select
        windows.window_id, carried.group_values, windows.window_start, false, '', -1,
        carried.carried_value
    from windows
    inner join {{ ref('carried_values') }} as carried on windows.window_id = carried.window_id
),

spans as (
    select
        points.window_id,
        points.value,
        windows.unit_us,
        epoch_us(coalesce(
            lead(points.occurred_at) over (
                partition by points.window_id, points.group_values
                order by
                    points.occurred_at, points.is_correction, points.source_file, points.source_row
            ),
            windows.window_end
        )) - epoch_us(points.occurred_at) as span_us
    from points
    inner join windows on points.window_id = windows.window_id
),

integrals as (
    select
        window_id,
        unit_us,
        sum(exact_whole(value) * span_us) as whole_us,
        sum(exact_fraction(value) * span_us) as fraction_us
    from spans
    group by window_id, unit_us
)

select window_id, exact_average(whole_us, fraction_us, unit_us) as average
from integrals
