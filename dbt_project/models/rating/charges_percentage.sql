{{ config(materialized='view') }}
-- grain: charge of the model `percentage`: quantity × percentage ÷ 100 + flat_amount × events. With
-- bounds of each event's amount, or with free events, the quantity is that of the events between
-- the bounds, and the others come to their bound; below 0, which only corrections can bring about,
-- it comes to 0 before the flat_amount
with
quantities as (
    select
        quantities.*,
        coalesce(events.charged_count, quantities.event_count) as charged_count,
        coalesce(events.minimum_count, 0) as minimum_count,
        coalesce(events.maximum_count, 0) as maximum_count,
        events.percentage_quantity < 0 as is_taken_back,
        case
            when events.window_id is null then quantities.billable
            else exact(abs(events.percentage_quantity))
        end as charged_quantity
    from {{ ref('billable_quantities') }} as quantities
    left join {{ ref('charged_events') }} as events
        on quantities.subscription_id = events.subscription_id
        and quantities.price_id = events.price_id
        and quantities.period_start = events.window_start
    where quantities.charge_model = 'percentage'
),

parts as (
    select
        *,
        exact_percentage(charged_quantity, coalesce(percentage, 0)) as percentage_part,
        exact_times(
            exact(minimum_count::decimal(38, 0)), coalesce(event_minimum_amount, 0)
        ).units
        + exact_times(
            exact(maximum_count::decimal(38, 0)), coalesce(event_maximum_amount, 0)
        ).units as bound_units,
        case
            when flat_amount > 0
                then exact_times(exact(charged_count::decimal(38, 0)), flat_amount).units
            else 0
        end as flat_units
    from quantities
)

select
    * exclude (
        charged_count, minimum_count, maximum_count, is_taken_back, charged_quantity,
        percentage_part, bound_units, flat_units
    ),
    exact_plus(
        case
            when is_taken_back
                then exact_minus(
                    {'units': bound_units, 'num': 0::hugeint, 'den': 1::hugeint}, percentage_part
                )
            else exact_plus(percentage_part, bound_units)
        end,
        flat_units
    ) as model_amount,
    case when free_events > 0 then event_count - charged_count || ' events free, ' else '' end
        || case when is_taken_back then '-' else '' end
        || exact_text(charged_quantity) || ' × ' || plain(coalesce(percentage, 0)) || ' %'
        || case
            when minimum_count > 0
                then ' + ' || minimum_count || ' events at ' || plain(event_minimum_amount)
            else ''
        end
        || case
            when maximum_count > 0
                then ' + ' || maximum_count || ' events at ' || plain(event_maximum_amount)
            else ''
        end
        || case when is_taken_back then ', at least 0' else '' end
        || case
            when flat_amount > 0
                then ' + ' || charged_count || ' events × ' || plain(flat_amount)
            else ''
        end as model_text
from parts
