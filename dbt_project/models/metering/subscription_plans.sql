-- grain: subscription × time in which it stays on one plan
select
    subscription_id,
    subscription_number,
    subscription_starts_at,
    plan_number,
    customer_id,
    customer_currency,
    plan_id,
    billing_cycle,
    trial_ends_at,
    min(starts_at) as starts_at,
    case when count(ends_at) = count(*) then max(ends_at) end as ends_at
from {{ ref('stg_accounts__subscriptions') }}
where is_effective
group by
    subscription_id, subscription_number, subscription_starts_at, plan_number, customer_id,
    customer_currency, plan_id, billing_cycle, trial_ends_at
