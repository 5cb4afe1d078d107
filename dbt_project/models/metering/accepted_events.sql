{{ config(materialized='view') }}
-- grain: usage event that counts, once
select
    events.customer_id,
    events.event_name,
    events.occurred_at,
    events.quantity,
    events.properties,
    events.subscription_id,
    events.source_file,
    events.source_row,
    events.event_id,
    events.usage_month,
    events.row_id
from {{ source('raw', 'usage_events') }} as events
where
    -- one list of both, so that ten million rows are looked up once
    events.row_id not in (
        select row_id from {{ ref('rejected_rows') }}
        union all
        select row_id from {{ ref('repeated_events') }} where verdict <> 'counted'
    )
