{{ config(materialized='view') }}
-- grain: subscription version × coupon that it names, with its place in their order; the month from
-- which its months are counted
with
run as (select * from {{ ref('stg_run') }}),

versions as (
    select
        terms.*,
        greatest(terms.starts_at, coalesce(terms.trial_ends_at, terms.starts_at)) as paid_from
    from {{ ref('stg_accounts__subscriptions') }} as terms
    cross join run
    where terms.is_effective and terms.starts_at < run.month_end
),

invoiced_versions as (
    select
        versions.*,
        case versions.billing_cycle
            when '30_days'
                then {{ cycle_start(
                    'versions.subscription_starts_at',
                    '(' ~ cycle_number('versions.subscription_starts_at', 'paid_from') ~ ' + 1)'
                ) }} - to_microseconds(1)
            when 'anniversary'
                then least(months.period_end, coalesce(plans.ends_at, months.period_end))
                    - to_microseconds(1)
            else paid_from
        end as first_invoiced,
        lead(versions.starts_at) over (
            partition by versions.subscription_id, versions.subscription_number
            order by versions.starts_at
        ) as next_starts_at,
        string_split(versions.coupon_id, ';') as coupon_ids
    from versions
    inner join {{ ref('subscription_plans') }} as plans
        on versions.subscription_id = plans.subscription_id
        and versions.subscription_number = plans.subscription_number
        and versions.plan_number = plans.plan_number
    left join {{ source('raw', 'anniversary_periods') }} as months
        on months.price_interval = 'month'
        and versions.subscription_starts_at = months.subscription_starts_at
        and versions.paid_from >= months.period_start
        and versions.paid_from < months.period_end
),

named as (
    select
        invoiced_versions.* exclude (coupon_id, coupon_ids),
        unnest(invoiced_versions.coupon_ids) as coupon_id,
        unnest(range(1, len(invoiced_versions.coupon_ids) + 1)) as position
    from invoiced_versions
),

-- the versions that name a coupon need not follow one another
counted as (
    select
        named.*,
        coalesce(
            min(first_invoiced) filter (where coalesce(paid_from < ends_at, true)) over naming,
            min(first_invoiced) over naming
        ) as first_invoiced_with_coupon
    from named
    window naming as (partition by subscription_id, subscription_number, coupon_id)
)

-- months are counted from the one that invoices the first paid instant: of a period of 30 days or
-- an anniversary's month that is the month in which it ends
select
    counted.subscription_id, counted.subscription_number,
    counted.starts_at, counted.next_starts_at,
    counted.coupon_id, counted.position,
    -- before the first month that is known, fifty years ago, it counts from that
    coalesce(
        months.billing_month, (select min(billing_month) from {{ ref('stg_months') }})
    ) as first_month
from counted
asof left join {{ ref('stg_months') }} as months
    on counted.first_invoiced_with_coupon >= months.month_start
