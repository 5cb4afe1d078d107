-- grain: subscription, with the terms that its plan and its place among the customer's give it
with
subscriptions as (select * from {{ source('raw', 'subscriptions') }}),
customers as (select * from {{ ref('stg_accounts__customers') }}),
plans as (select * from {{ source('raw', 'plans') }}),

ordered as (
    select
        *,
        row_number() over (
            partition by customer_id order by starts_at, subscription_id
        ) = 1 as is_first
    from subscriptions
)

select
    ordered.subscription_id,
    ordered.customer_id,
    ordered.plan_id,
    ordered.coupon_id,
    plans.billing_cycle,
    customers.currency as customer_currency,
    ordered.quantity,
    ordered.minimum_amount,
    ordered.starts_at,
    ordered.ends_at,
    -- a trial is the plan's only on a customer's first subscription; one written down counts always
    coalesce(
        ordered.trial_ends_at,
        case
            when ordered.is_first and plans.trial_days > 0
                then ordered.starts_at + to_microseconds(plans.trial_days::bigint * 86400000000)
        end
    ) as trial_ends_at
from ordered
inner join customers on ordered.customer_id = customers.customer_id
inner join plans on ordered.plan_id = plans.plan_id
