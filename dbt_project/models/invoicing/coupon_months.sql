{{ config(materialized='view') }}
-- grain: subscription; the coupon of the month's last version, and the month from which its months
-- are counted
with
run as (select * from {{ ref('stg_run') }}),

paid as (
    select
        *,
        greatest(terms.starts_at, coalesce(terms.trial_ends_at, terms.starts_at)) as paid_from,
        case terms.billing_cycle
            when '30_days'
                then {{ cycle_start(
                    'terms.subscription_starts_at',
                    '(' ~ cycle_number('terms.subscription_starts_at', 'paid_from') ~ ' + 1)'
                ) }} - to_microseconds(1)
            else paid_from
        end as first_invoiced
    from {{ ref('stg_accounts__subscriptions') }} as terms
    where terms.is_effective
),

-- the versions that name a coupon need not follow one another
counted as (
    select
        paid.*,
        coalesce(
            min(first_invoiced) filter (where coalesce(paid_from < ends_at, true)) over naming,
            min(first_invoiced) over naming
        ) as first_invoiced_with_coupon,
        row_number() over (
            partition by paid.subscription_id, paid.subscription_number
            order by paid.starts_at desc
        ) = 1 as is_last
    from paid
    cross join run
    where paid.starts_at < run.month_end
    window naming as (
        partition by paid.subscription_id, paid.subscription_number, paid.coupon_id
    )
)

-- months are counted from the one that invoices the first paid instant: of a period of 30 days
-- that is the month in which it ends
select
    counted.subscription_id,
    counted.subscription_number,
    counted.coupon_id,
    -- none is as early: it counts from the first that is known, fifty years ago
    coalesce(months.billing_month, (
        select min(billing_month) from {{ ref('stg_months') }}
    )) as first_month
from counted
asof left join {{ ref('stg_months') }} as months
    on counted.first_invoiced_with_coupon >= months.month_start
where counted.is_last
