{{ config(materialized='view') }}
-- grain: period of 30 days that follows one of this month's and whose fee in advance stands on its
-- invoice
select
    periods.* replace (
        periods.period_end as period_start,
        {{ cycle_start('periods.period_end', 1) }} as period_end
    ),
    periods.period_end as begins_at,
    periods.period_start as billing_period_start,
    fees.quantity,
    timings.prorate,
    'advance' as kind,
    'advance' as timing,
    periods.period_end as due_start,
    {{ cycle_start('periods.period_end', 1) }} as due_end
from {{ ref('thirty_day_periods') }} as periods
inner join {{ ref('subscription_fees') }} as fees
    on periods.subscription_id = fees.subscription_id
    and periods.subscription_number = fees.subscription_number
    and periods.plan_number = fees.plan_number
    and periods.period_end >= fees.starts_at
    and coalesce(periods.period_end < fees.ends_at, true)
cross join (values (true), (false)) as timings (prorate)
