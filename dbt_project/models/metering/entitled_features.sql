-- grain: customer × feature; the plan with that feature that the customer started last and had in
-- the month decides
with
subscriptions as (select * from {{ ref('subscription_plans') }}),
entitlements as (select * from {{ ref('stg_catalog__entitlements') }}),
run as (select * from {{ ref('stg_run') }})

select subscriptions.customer_id, entitlements.*
from subscriptions
cross join run
inner join entitlements on subscriptions.plan_id = entitlements.plan_id
where
    subscriptions.starts_at < run.month_end
    and coalesce(subscriptions.ends_at > run.month_start, true)
qualify row_number() over (
    partition by subscriptions.customer_id, entitlements.feature
    order by subscriptions.starts_at desc, subscriptions.subscription_id desc
) = 1
