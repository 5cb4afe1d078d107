{{ config(materialized='view') }}
-- grain: recurring fee that is due on this month's invoice: subscription × time with one plan and
-- quantity × period × price version
with
prices as (select * from {{ ref('stg_catalog__prices') }}),

fees as (
    select
        fee.kind, fee.customer_id, fee.subscription_id, fee.subscription_number,
        fee.customer_currency, fee.plan_id, fee.period_start as billing_period_start,
        fee.whole_us, prices.price_id, prices.valid_from, prices.prorate,
        greatest(
            fee.due_start,
            coalesce(fee.trial_ends_at, fee.due_start),
            coalesce(prices.valid_from, fee.due_start)
        ) as period_start,
        least(fee.due_end, coalesce(prices.valid_to, fee.due_end)) as period_end,
        -- where a fee is not prorated, giving back depends on whether its period was reached
        greatest(
            fee.period_start,
            coalesce(fee.trial_ends_at, fee.period_start),
            coalesce(prices.valid_from, fee.period_start)
        ) as charged_start,
        fee.quantity,
        exact(fee.quantity) as exact_quantity,
        0 as event_count,
        0 as correction_count,
        true as is_share_of_amount
    from {{ ref('fee_periods') }} as fee
    inner join prices
        on fee.plan_id = prices.plan_id
        and prices.meter_id is null
        and fee.timing = prices.timing
        and fee.prorate = prices.prorate
)

select * exclude (charged_start, prorate)
from fees
where
    period_start < period_end
    and (prorate or kind <> 'advance_credit' or charged_start >= period_start)
