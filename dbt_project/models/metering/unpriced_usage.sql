-- grain: customer × event name × reason
select
    run.billing_month,
    events.customer_id,
    events.event_name,
    events.reason,
    sum(events.quantity)::decimal(38, 18) as quantity,
    count(*)::bigint as event_count,
    min(events.occurred_at) as first_at,
    max(events.occurred_at) as last_at
from {{ ref('unpriced_events') }} as events
cross join {{ ref('stg_run') }} as run
group by run.billing_month, events.customer_id, events.event_name, events.reason
