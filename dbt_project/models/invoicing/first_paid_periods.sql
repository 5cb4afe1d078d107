{{ config(materialized='view') }}
-- grain: subscription version that names a coupon × way in which prices of its plan are invoiced, with
-- the first billing period of which time is paid
with
months as (select * from {{ ref('stg_months') }}),

versions as (
    select
        terms.subscription_id, terms.subscription_number, terms.subscription_starts_at,
        terms.plan_id, terms.billing_cycle, terms.coupon_id, terms.starts_at, terms.ends_at,
        plans.ends_at as plan_ends_at,
        greatest(terms.starts_at, coalesce(terms.trial_ends_at, terms.starts_at)) as paid_from,
        lead(terms.starts_at) over following as next_starts_at,
        -- not where only another coupon or minimum begins
        coalesce(terms.fee_number <> lag(terms.fee_number) over following, true) as begins_fees
    from {{ ref('stg_accounts__subscriptions') }} as terms
    inner join {{ ref('subscription_plans') }} as plans
        on terms.subscription_id = plans.subscription_id
        and terms.subscription_number = plans.subscription_number
        and terms.plan_number = plans.plan_number
    cross join {{ ref('stg_run') }} as run
    where terms.is_effective and terms.starts_at < run.month_end
    window following as (
        partition by terms.subscription_id, terms.subscription_number order by terms.starts_at
    )
),

-- how the plan's prices are invoiced that are valid then
priced as (
    select distinct
        versions.*,
        coalesce(prices.price_interval, 'month') as price_interval,
        coalesce(prices.meter_id is null and prices.timing = 'advance', false) as is_in_advance
    from versions
    left join {{ ref('stg_catalog__prices') }} as prices
        on versions.plan_id = prices.plan_id
        and coalesce(versions.paid_from >= prices.valid_from, true)
        and coalesce(versions.paid_from < prices.valid_to, true)
    where versions.coupon_id is not null
),

calendar as (
    select lengths.price_interval, begun.month_start as period_start, done.month_end as period_end
    from (values ('month', 1), ('quarter', 3), ('half_year', 6), ('year', 12))
        as lengths (price_interval, month_count)
    inner join months as begun on (month(begun.billing_month) - 1) % lengths.month_count = 0
    inner join months as done
        on begun.billing_month + to_months(lengths.month_count - 1) = done.billing_month
    union all
    select price_interval, period_start, period_end from {{ source('raw', 'calendar_weeks') }}
)

select priced.*, calendar.period_start, calendar.period_end
from priced
asof left join calendar
    on priced.price_interval = calendar.price_interval
    and priced.paid_from >= calendar.period_start
where priced.billing_cycle = 'calendar_month'
union all
select priced.*, anniversaries.period_start, anniversaries.period_end
from priced
asof left join {{ source('raw', 'anniversary_periods') }} as anniversaries
    on priced.price_interval = anniversaries.price_interval
    and priced.subscription_starts_at = anniversaries.subscription_starts_at
    and priced.paid_from >= anniversaries.period_start
where priced.billing_cycle = 'anniversary'
union all
select
    *,
    {% set number = cycle_number('subscription_starts_at', 'paid_from') %}
    {{ cycle_start('subscription_starts_at', number) }} as period_start,
    {{ cycle_start('subscription_starts_at', '(' ~ number ~ ' + 1)') }} as period_end
from priced
where billing_cycle = '30_days'
