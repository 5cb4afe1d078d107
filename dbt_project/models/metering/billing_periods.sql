-- grain: subscription × plan × full billing period that is invoiced in this month: the calendar
-- month, or each period of 30 days that ends in (month start, month end]
with
subscriptions as (select * from {{ ref('subscription_plans') }}),
run as (select * from {{ ref('stg_run') }}),

calendar as (
    select
        subscriptions.*,
        run.month_start as period_start,
        run.month_end as period_end,
        coming.month_end as next_period_end
    from subscriptions
    cross join run
    inner join {{ ref('stg_months') }} as coming on run.month_end = coming.month_start
    where subscriptions.billing_cycle = 'calendar_month'
),

counted as (
    select
        subscriptions.*,
        greatest(0, {{ cycle_number('subscriptions.subscription_starts_at', 'run.month_start') }}) as first_number,
        {{ cycle_number('subscriptions.subscription_starts_at', 'run.month_end') }} as end_number
    from subscriptions
    cross join run
    where
        subscriptions.billing_cycle = '30_days'
        and subscriptions.starts_at < run.month_end
),

numbered as (
    select
        * {{ exclude('first_number', 'end_number') }},
        {{ each_number('first_number', 'end_number') }} as period_number
    from counted
),

thirty_days as (
    select
        * {{ exclude('period_number') }},
        {{ cycle_start('subscription_starts_at', 'period_number') }} as period_start,
        {{ cycle_start('subscription_starts_at', '(period_number + 1)') }} as period_end,
        {{ cycle_start('subscription_starts_at', '(period_number + 2)') }} as next_period_end
    from numbered
),

periods as (
    select * from calendar
    union all
    select * from thirty_days
)

select
    *,
    epoch_us(period_end) - epoch_us(period_start) as period_us,
    epoch_us(next_period_end) - epoch_us(period_end) as next_period_us
from periods
where
    starts_at < period_end
    and (ends_at is null or ends_at > period_start)
