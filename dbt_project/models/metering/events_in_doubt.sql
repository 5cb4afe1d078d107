{{ config(materialized='view') }}
-- grain: accepted event of the month that perhaps no price charges. Where no usage is in doubt, no
-- event is read.
select events.*
from {{ ref('accepted_events') }} as events
inner join {{ ref('stg_run') }} as run on events.usage_month = run.billing_month
inner join {{ ref('doubtful_usage') }} as doubtful
    on events.customer_id = doubtful.customer_id and events.event_name = doubtful.event_name
