{{ config(materialized='view') }}
-- grain: charge of the model `percentage`: quantity × percentage ÷ 100 + flat_amount × events
select
    *,
    exact_plus(
        exact_share(exact_times(billable, coalesce(percentage, 0)), 1, 100),
        case
            when flat_amount > 0
                then exact_times(exact(event_count::decimal(38, 0)), flat_amount).units
            else 0
        end
    ) as model_amount,
    exact_text(billable) || ' × ' || plain(coalesce(percentage, 0)) || ' %'
        || case
            when flat_amount > 0
                then ' + ' || event_count || ' events × ' || plain(flat_amount)
            else ''
        end as model_text
from {{ ref('billable_quantities') }}
where charge_model = 'percentage'
