-- grain: subscription × time in which its plan and quantity stay the same: what a recurring fee is
-- charged by
select
    subscription_id,
    subscription_number,
    plan_number,
    fee_number,
    quantity,
    min(starts_at) as starts_at,
    case when count(ends_at) = count(*) then max(ends_at) end as ends_at
from {{ ref('stg_accounts__subscriptions') }}
where is_effective
group by subscription_id, subscription_number, plan_number, fee_number, quantity
