{{ config(materialized='view') }}
-- grain: plan × feature, as the month was rated with it
select
    run.billing_month,
    entitlements.plan_id,
    entitlements.feature,
    entitlements.meter_id,
    entitlements.limit_quantity,
    entitlements.soft_limit,
    entitlements.replaces
from {{ source('raw', 'entitlements') }} as entitlements
cross join {{ ref('stg_run') }} as run
