-- grain: subscription × plan × interval of a price × full billing period of the calendar, or of the
-- subscription's anniversary, that this month or the next touches while the plan goes on
with
plans as (select * from {{ ref('subscription_plans') }}),

-- without an interval: a month of the plan's billing cycle
intervals as (
    select plan_id, cast(null as varchar(20)) as price_interval
    from {{ ref('stg_catalog__plans') }}
    union
    select plan_id, price_interval
    from {{ ref('stg_catalog__prices') }}
    union
    select plans.plan_id, costs.price_interval
    from {{ ref('stg_catalog__plans') }} as plans
    cross join {{ ref('stg_catalog__cost_prices') }} as costs
),

asked as (
    select plans.*, intervals.price_interval
    from plans
    inner join intervals on plans.plan_id = intervals.plan_id
),

periods as (
    select asked.*, calendar.period_start, calendar.period_end
    from asked
    inner join {{ source('raw', 'calendar_periods') }} as calendar
        on coalesce(asked.price_interval, 'month') = calendar.price_interval
    where asked.billing_cycle = 'calendar_month'
    union all
    select asked.*, anniversaries.period_start, anniversaries.period_end
    from asked
    inner join {{ source('raw', 'anniversary_periods') }} as anniversaries
        on coalesce(asked.price_interval, 'month') = anniversaries.price_interval
        and asked.subscription_starts_at = anniversaries.subscription_starts_at
    where asked.billing_cycle = 'anniversary'
)

select
    periods.*,
    epoch_us(periods.period_end) - epoch_us(periods.period_start) as period_us
from periods
cross join {{ ref('stg_run') }} as run
where
    periods.period_end > run.month_start
    and periods.starts_at < periods.period_end
    and (periods.ends_at is null or periods.ends_at > periods.period_start)
