{{ config(materialized='view') }}
-- grain: window of a price or of a cost that counts, without the part in a trial: what a charge or a
-- cost is computed from
select
    case when is_cost then 'cost' else 'usage' end as kind,
    customer_id,
    subscription_id,
    subscription_number,
    customer_currency,
    plan_id,
    cost_plan_id,
    billing_period_start,
    billing_period_us as whole_us,
    price_id,
    valid_from,
    window_start as period_start,
    window_end as period_end,
    greatest(quantity, 0::decimal(38, 18)) as quantity,
    exact_quantity,
    event_count,
    correction_count,
    carried_from,
    is_gauge as is_share_of_amount
from {{ ref('measured_windows') }}
where
    subscription_id is not null
    and not is_trial
    -- what is too little to be shown is used as well
    and (costs_unused or quantity <> 0 or exact_quantity.num > 0 or event_count > 0)
