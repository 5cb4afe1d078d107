{{ config(materialized='view') }}
-- grain: subscription; the month from which the months of its coupon are counted
with
paid as (
    select
        *,
        greatest(terms.starts_at, coalesce(terms.trial_ends_at, terms.starts_at)) as paid_from,
        case terms.billing_cycle
            when '30_days'
                then {{ cycle_start(
                    'terms.starts_at', '(' ~ cycle_number('terms.starts_at', 'paid_from') ~ ' + 1)'
                ) }} - to_microseconds(1)
            else paid_from
        end as first_invoiced
    from {{ ref('stg_accounts__subscriptions') }} as terms
)

-- months are counted from the one that invoices the subscription's first paid instant: of a
-- period of 30 days that is the month in which it ends
select
    paid.subscription_id,
    paid.coupon_id,
    -- none is as early: it counts from the first that is known, fifty years ago
    coalesce(months.billing_month, (
        select min(billing_month) from {{ ref('stg_months') }}
    )) as first_month
from paid
asof left join {{ ref('stg_months') }} as months on paid.first_invoiced >= months.month_start
