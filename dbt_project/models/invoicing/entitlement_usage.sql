-- grain: customer × feature
with
features as (select * from {{ ref('entitled_features') }}),
run as (select * from {{ ref('stg_run') }}),
used as (
    select customer_id, meter_id, greatest(quantity, 0) as used
    from {{ ref('measured_windows') }}
    where subscription_id is null
)

select
    run.billing_month,
    features.customer_id,
    features.plan_id,
    features.feature,
    features.meter_id,
    coalesce(used.used, 0)::decimal(38, 18) as used,
    features.limit_quantity::decimal(38, 18) as limit_quantity,
    -- `greatest` ignores nulls: without the case an unlimited feature would have 0 remaining
    case
        when features.limit_quantity is not null
            then greatest(features.limit_quantity - coalesce(used.used, 0), 0)
    end::decimal(38, 18) as remaining,
    coalesce(features.soft_limit, false) as is_soft_limit,
    case
        when used.used > features.limit_quantity then 'exceeded'
        -- 80 %, in whole numbers
        when used.used > 0 and used.used * 5 >= features.limit_quantity * 4 then 'warning'
        else 'ok'
    end as state
from features
cross join run
left join used
    on features.customer_id = used.customer_id and features.meter_id = used.meter_id
