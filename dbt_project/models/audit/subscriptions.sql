-- grain: subscription version, as it stood in the month's last instant
with
versions as (select * from {{ ref('stg_accounts__subscriptions') }})

select
    run.billing_month,
    versions.subscription_id,
    versions.customer_id,
    versions.plan_id,
    versions.quantity::decimal(38, 18) as quantity,
    case
        when not versions.is_effective or versions.ends_at < run.month_end then 'ended'
        when versions.starts_at >= run.month_end then 'scheduled'
        when versions.trial_ends_at >= run.month_end then 'trialing'
        else 'active'
    end as state,
    versions.starts_at,
    versions.ends_at,
    versions.trial_ends_at
from versions
cross join {{ ref('stg_run') }} as run
