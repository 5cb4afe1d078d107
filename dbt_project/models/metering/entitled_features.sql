-- grain: customer × feature of the plan that the customer has at the month's end (or had last
-- in the month)
with
subscriptions as (select * from {{ ref('stg_accounts__subscriptions') }}),
entitlements as (select * from {{ ref('stg_catalog__entitlements') }}),
run as (select * from {{ ref('stg_run') }}),

current as (
    select subscriptions.customer_id, subscriptions.plan_id
    from subscriptions
    cross join run
    where
        subscriptions.starts_at < run.month_end
        and coalesce(
            subscriptions.ends_at > run.month_start and subscriptions.ends_at > subscriptions.starts_at,
            true
        )
    qualify row_number() over (
        partition by subscriptions.customer_id
        order by subscriptions.starts_at desc, subscriptions.subscription_id desc
    ) = 1
)

select current.customer_id, entitlements.*
from current
inner join entitlements on current.plan_id = entitlements.plan_id
