{{ config(materialized='view') }}
-- grain: plan, as the month was rated with it
select
    run.billing_month,
    plans.plan_id,
    plans.name,
    plans.trial_days,
    plans.billing_cycle,
    plans.based_on
from {{ source('raw', 'plans') }} as plans
cross join {{ ref('stg_run') }} as run
