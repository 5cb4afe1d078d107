{{ config(tags=['reads_events']) }}
-- grain: customer × event name whose events have to be followed one by one, for they are not all
-- metered alike
with
possible as (
    select * from ({{ possible_usage() }}) as of_the_month
    union
    -- whose periods began in an earlier month, perhaps with its events alone
    select customer_id, event_name
    from {{ ref('usage_windows') }}
    where subscription_id is not null and not is_cost and not is_whole_month
)

select possible.*
from possible
left join {{ ref('plain_usage') }} as plain
    on possible.customer_id = plain.customer_id and possible.event_name = plain.event_name
where plain.customer_id is null
