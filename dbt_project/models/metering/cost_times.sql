{{ config(materialized=stored_on_spark()) }}
-- grain: version of a cost × time in which usage is counted for a subscription, or, without one, for
-- no plan: what active_times are for prices. A trial does not cut it: usage costs the same.
with
costs as (select * from {{ ref('stg_catalog__cost_prices') }}),

subscribed as (
    select
        periods.subscription_id,
        periods.subscription_number,
        periods.customer_id,
        periods.customer_currency,
        costs.plan_id,
        costs.price_id,
        costs.valid_from,
        costs.meter_id,
        costs.filter,
        costs.filter_rest,
        periods.period_start as billing_period_start,
        periods.period_us as billing_period_us,
        greatest(
            periods.period_start, periods.starts_at, owners.starts_at,
            coalesce(costs.valid_from, periods.starts_at)
        ) as active_start,
        least(
            periods.period_end,
            coalesce(periods.ends_at, periods.period_end),
            coalesce(owners.ends_at, periods.period_end),
            coalesce(costs.valid_to, periods.period_end)
        ) as active_end,
        periods.subscription_id as reads_subscription_id,
        owners.is_owner as reads_unnamed,
        periods.plan_id as cost_plan_id,
        -- a minimum or a first tier costs nothing where nothing is sold or used
        owners.claim = 1 and owners.is_owner as costs_unused
    from {{ ref('billing_periods') }} as periods
    inner join costs
        -- periods of 30 days are no part of a week or a year
        on coalesce(periods.price_interval, '')
        = case
            when periods.billing_cycle = '30_days' then ''
            else coalesce(costs.price_interval, '')
        end
    inner join {{ ref('cost_owners') }} as owners
        on periods.subscription_id = owners.subscription_id
        and periods.subscription_number = owners.subscription_number
        and periods.plan_number = owners.plan_number
        and costs.meter_id = owners.meter_id
)

select * from subscribed where active_start < active_end
union all
select * from {{ ref('unsubscribed_cost_times') }} where active_start < active_end
