-- grain: window of a time_weighted_average; the integral of the gauge over the window, as whole
-- quantities × µs and fractions (10^-18) × µs, so that neither leaves 38 digits
with
windows as (
    select * from {{ ref('usage_windows') }} where aggregation = 'time_weighted_average'
),

points as (
    select window_id, occurred_at, source_file, source_row, value
    from {{ ref('metered_events') }}
    where aggregation = 'time_weighted_average' and value is not null
    union all
    select
        windows.window_id, windows.window_start, '', -1,
        coalesce(carried.carried_value, 0::decimal(38, 18))
    from windows
    left join {{ ref('carried_values') }} as carried on windows.window_id = carried.window_id
),

spans as (
    select
        points.window_id,
        points.value,
        epoch_us(coalesce(
            lead(points.occurred_at) over (
                partition by points.window_id
                order by points.occurred_at, points.source_file, points.source_row
            ),
            windows.window_end
        )) - epoch_us(points.occurred_at) as span_us
    from points
    inner join windows on points.window_id = windows.window_id
),

integrals as (
    select
        window_id,
        sum(exact_whole(value) * span_us) as whole_us,
        sum(exact_fraction(value) * span_us) as fraction_us
    from spans
    group by window_id
)

select
    integrals.window_id,
    exact_average(integrals.whole_us, integrals.fraction_us, lengths.window_us) as average
from integrals
inner join (
    select window_id, epoch_us(window_end) - epoch_us(window_start) as window_us
    from windows
) as lengths on integrals.window_id = lengths.window_id
