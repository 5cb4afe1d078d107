{{ config(materialized='view') }}
-- grain: plan, as the month was rated with it
select run.billing_month, plans.*
from {{ source('raw', 'plans') }} as plans
cross join {{ ref('stg_run') }} as run
