-- grain: window; its quantity as an exact rational, by the meter's aggregation
with
windows as (select * from {{ ref('usage_windows') }}),
totals as (select * from {{ ref('window_totals') }}),
integrals as (select * from {{ ref('gauge_integrals') }}),
split as (select * from {{ ref('split_windows') }}),
-- of several groups the values are in the integral or the split already
carried as (
    select window_id, max(carried_value) as carried_value, max(carried_from) as carried_from
    from {{ ref('carried_values') }}
    group by window_id
),
corrections as (select * from {{ ref('window_corrections') }}),
custom as (
    {% for meter in var('custom_meters', []) -%}
    {% if not loop.first %} union all {% endif %}
    select window_id, quantity from {{ ref(meter) }}
    {% endfor %}
),

joined as (
    select
        windows.*,
        coalesce(totals.event_count, 0) as event_count,
        coalesce(corrections.correction_count, totals.correction_count, 0) as correction_count,
        case
            when coalesce(totals.event_count + totals.correction_count, 0) = 0
                then carried.carried_from
        end as carried_from,
        integrals.average,
        coalesce(case
            when windows.is_split then split.quantity
            when windows.aggregation = 'count' then coalesce(totals.event_count, 0)::decimal(38, 18)
                + coalesce(corrections.corrected_quantity, 0)
            when windows.aggregation in ('sum', 'counter')
                then coalesce(totals.value_sum, 0) + coalesce(corrections.corrected_quantity, 0)
            when windows.aggregation = 'max' then greatest(totals.value_max, carried.carried_value)
            when windows.aggregation = 'latest'
                then coalesce(totals.value_latest, carried.carried_value)
            when windows.aggregation = 'unique_count' then totals.unique_values::decimal(38, 18)
            when windows.aggregation = 'custom' then custom.quantity
            else totals.value_percentile
        end, 0)::decimal(38, 18) as plain_quantity
    from windows
    left join totals on windows.window_id = totals.window_id
    left join integrals on windows.window_id = integrals.window_id
    left join split on windows.window_id = split.window_id
    left join carried on windows.window_id = carried.window_id
    left join corrections on windows.window_id = corrections.window_id
    left join custom on windows.window_id = custom.window_id
)

select
    * {{ exclude('average', 'plain_quantity') }},
    case
        when average is not null then exact_shown(average) else plain_quantity
    end as quantity,
    case
        when average is not null then average
        else exact(greatest(plain_quantity, 0::decimal(38, 18)))
    end as exact_quantity
from joined
