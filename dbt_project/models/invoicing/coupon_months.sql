{{ config(materialized='view') }}
-- grain: subscription × coupon, with its place in their order; the month from which the coupon's
-- months are counted
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
        end as first_invoiced,
        string_split(terms.coupon_id, ';') as coupon_ids
    from {{ ref('stg_accounts__subscriptions') }} as terms
    where terms.coupon_id is not null
)

-- months are counted from the one that invoices the subscription's first paid instant: of a
-- period of 30 days that is the month in which it ends
select
    paid.subscription_id,
    unnest(paid.coupon_ids) as coupon_id,
    unnest(range(1, len(paid.coupon_ids) + 1)) as position,
    -- none is as early: it counts from the first that is known, fifty years ago
    coalesce(months.billing_month, (
        select min(billing_month) from {{ ref('stg_months') }}
    )) as first_month
from paid
asof left join {{ ref('stg_months') }} as months on paid.first_invoiced >= months.month_start
