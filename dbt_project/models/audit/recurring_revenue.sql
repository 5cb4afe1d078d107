-- grain: subscription × recurring price that goes on at the month's end: what a month of it costs,
-- whole, whatever part of one was charged
with
fees as (select * from {{ ref('rated_charges') }} where meter_id is null),
periods as (select * from {{ ref('billing_periods') }} where price_interval is null),

-- a fee that continues is charged to the end of its period, or for the coming one in advance; where
-- a month may pass without a charge, it has its run rate
continuing_fees as (
    select fees.*, periods.billing_cycle
    from fees
    cross join {{ ref('stg_run') }} as run
    inner join periods
        on fees.subscription_id = periods.subscription_id
        and fees.subscription_number = periods.subscription_number
        and fees.subscription_plan_id = periods.plan_id
        and fees.billing_period_start = periods.period_start
    where
        (periods.ends_at is null or periods.ends_at > run.month_end)
        and periods.billing_cycle <> 'anniversary'
        and fees.price_interval is null
        and (
            fees.kind = 'advance'
            or (fees.kind = 'arrears' and fees.period_end = periods.period_end)
        )
    union all by name
    select *, 'anniversary' as billing_cycle
    from fees
    where kind = 'run_rate'
),

newest as (
    select *
    from continuing_fees
    qualify row_number() over (
        partition by subscription_id, price_id order by period_start desc
    ) = 1
),

full_periods as (
    select
        *,
        least(
            greatest(model_units, exact(minimum_amount).units), exact(maximum_amount).units
        ) as period_units
    from newest
)

select
    run.billing_month,
    full_periods.customer_id,
    full_periods.subscription_id,
    full_periods.subscription_plan_id as plan_id,
    full_periods.price_id,
    full_periods.currency,
    -- a year of 365.25 days has 12 months, and 12 × 487 / 480 periods of 30 days, 12 × 487 / 112
    -- weeks
    rounded_to_minor(
        case
            when full_periods.billing_cycle = '30_days' then full_periods.period_units * 487 // 480
            when full_periods.price_interval = 'week' then full_periods.period_units * 487 // 112
            when full_periods.price_interval = 'quarter' then full_periods.period_units // 3
            when full_periods.price_interval = 'half_year' then full_periods.period_units // 6
            when full_periods.price_interval = 'year' then full_periods.period_units // 12
            else full_periods.period_units
        end,
        full_periods.exponent
    ) as amount
from full_periods
cross join {{ ref('stg_run') }} as run
