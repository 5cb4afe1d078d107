{{ config(materialized=stored_on_spark()) }}
-- grain: subscription × plan × billing period × price version of a meter: the time in which it is
-- active
with
periods as (select * from {{ ref('billing_periods') }}),
prices as (select * from {{ ref('stg_catalog__prices') }} where meter_id is not null)

select
    periods.subscription_id,
    periods.subscription_number,
    periods.customer_id,
    periods.customer_currency,
    periods.plan_id,
    prices.price_id,
    prices.valid_from,
    prices.meter_id,
    prices.filter,
    prices.filter_rest,
    periods.period_start as billing_period_start,
    periods.period_us as billing_period_us,
    periods.trial_ends_at,
    greatest(
        periods.period_start, periods.starts_at, coalesce(prices.valid_from, periods.starts_at)
    ) as active_start,
    least(
        periods.period_end,
        coalesce(periods.ends_at, periods.period_end),
        coalesce(prices.valid_to, periods.period_end)
    ) as active_end
from periods
inner join prices
    on periods.plan_id = prices.plan_id
    and coalesce(periods.price_interval, '') = coalesce(prices.price_interval, '')
