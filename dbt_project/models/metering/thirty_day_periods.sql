-- grain: subscription × plan × period of 30 days that ends in (month start, month end]
with
counted as (
    select
        plans.*,
        greatest(0, {{ cycle_number('plans.subscription_starts_at', 'run.month_start') }})
            as first_number,
        {{ cycle_number('plans.subscription_starts_at', 'run.month_end') }} as end_number
    from {{ ref('subscription_plans') }} as plans
    cross join {{ ref('stg_run') }} as run
    where
        plans.billing_cycle = '30_days'
        and plans.starts_at < run.month_end
),

numbered as (
    select
        * {{ exclude('first_number', 'end_number') }},
        {{ each_number('first_number', 'end_number') }} as period_number
    from counted
),

periods as (
    select
        * {{ exclude('period_number') }},
        cast(null as varchar(20)) as price_interval,
        {{ cycle_start('subscription_starts_at', 'period_number') }} as period_start,
        {{ cycle_start('subscription_starts_at', '(period_number + 1)') }} as period_end
    from numbered
)

select
    *,
    epoch_us(period_end) - epoch_us(period_start) as period_us
from periods
where
    starts_at < period_end
    and (ends_at is null or ends_at > period_start)
