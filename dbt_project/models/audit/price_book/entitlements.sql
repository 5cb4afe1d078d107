{{ config(materialized='view') }}
-- grain: plan × feature, as the month was rated with it
select run.billing_month, entitlements.*
from {{ source('raw', 'entitlements') }} as entitlements
cross join {{ ref('stg_run') }} as run
