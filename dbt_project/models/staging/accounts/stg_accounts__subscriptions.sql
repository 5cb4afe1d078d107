-- grain: subscription version: a row of the file, with the terms that its plan, its neighbours and
-- its place among the customer's subscriptions give it
with
subscriptions as (select * from {{ source('raw', 'subscriptions') }}),
customers as (select * from {{ ref('stg_accounts__customers') }}),
plans as (select * from {{ source('raw', 'plans') }}),

compared as (
    select
        *,
        -- equal times are a version that never was active: it belongs to no other
        coalesce(ends_at > starts_at, true) as is_effective,
        rank() over (partition by customer_id order by starts_at, subscription_id) = 1 as is_first,
        coalesce(lag(ends_at) over in_order = starts_at, false) as goes_on,
        lag(plan_id) over in_order = plan_id as has_same_plan,
        lag(quantity) over in_order = quantity as has_same_quantity
    from subscriptions
    window in_order as (
        partition by subscription_id, coalesce(ends_at > starts_at, true) order by starts_at
    )
),

-- after a gap a new subscription begins, also under the same id
numbered as (
    select
        *,
        sum(case when goes_on then 0 else 1 end) over in_order as subscription_number,
        sum(case when goes_on and has_same_plan then 0 else 1 end) over in_order as plan_number,
        sum(case when goes_on and has_same_plan and has_same_quantity then 0 else 1 end)
            over in_order as fee_number
    from compared
    window in_order as (partition by subscription_id, is_effective order by starts_at)
)

select
    numbered.subscription_id,
    numbered.customer_id,
    numbered.plan_id,
    numbered.coupon_id,
    plans.billing_cycle,
    customers.currency as customer_currency,
    numbered.quantity,
    numbered.minimum_amount,
    numbered.starts_at,
    numbered.ends_at,
    numbered.is_effective,
    numbered.subscription_number,
    numbered.plan_number,
    numbered.fee_number,
    min(numbered.starts_at) over versions as subscription_starts_at,
    case when count(numbered.ends_at) over versions = count(*) over versions
        then max(numbered.ends_at) over versions
    end as subscription_ends_at,
    -- the first version's. A trial is the plan's only on a customer's first subscription; one
    -- written down counts always
    first_value(coalesce(
        numbered.trial_ends_at,
        case
            when numbered.is_first and plans.trial_days > 0
                then numbered.starts_at + to_microseconds(plans.trial_days::bigint * 86400000000)
        end
    )) over (
        partition by
            numbered.subscription_id, numbered.is_effective, numbered.subscription_number
        order by numbered.starts_at
    ) as trial_ends_at
from numbered
inner join customers on numbered.customer_id = customers.customer_id
inner join plans on numbered.plan_id = plans.plan_id
window versions as (
    partition by numbered.subscription_id, numbered.is_effective, numbered.subscription_number
)
