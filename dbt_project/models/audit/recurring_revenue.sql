-- grain: subscription × recurring price that goes on at the month's end: what a month of it costs,
-- whole, whatever part of one was charged
with
fees as (select * from {{ ref('rated_charges') }} where meter_id is null),
periods as (select * from {{ ref('billing_periods') }}),

-- what goes on is charged to the end of its period, or for the coming one in advance
going_on as (
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
        and (
            fees.kind = 'advance'
            or (fees.kind = 'arrears' and fees.period_end = periods.period_end)
        )
    qualify row_number() over (
        partition by fees.subscription_id, fees.price_id
        order by fees.period_start desc
    ) = 1
),

full_periods as (
    select
        *,
        least(
            greatest(model_units, exact(minimum_amount).units), exact(maximum_amount).units
        ) as period_units
    from going_on
)

select
    run.billing_month,
    full_periods.customer_id,
    full_periods.subscription_id,
    full_periods.subscription_plan_id as plan_id,
    full_periods.price_id,
    full_periods.currency,
    -- a year of 365.25 days has 12 months, and 12 × 487 / 480 periods of 30 days
    rounded_to_minor(
        case full_periods.billing_cycle
            when '30_days' then full_periods.period_units * 487 // 480
            else full_periods.period_units
        end,
        full_periods.exponent
    ) as amount
from full_periods
cross join {{ ref('stg_run') }} as run
