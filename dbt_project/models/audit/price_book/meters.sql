{{ config(materialized='view') }}
-- grain: meter, as the month was rated with it
select
    run.billing_month,
    meters.meter_id,
    meters.event_name,
    meters.aggregation,
    meters.property,
    meters.carry_forward,
    meters.group_by,
    meters.bucket,
    meters.event_rounding
from {{ source('raw', 'meters') }} as meters
cross join {{ ref('stg_run') }} as run
