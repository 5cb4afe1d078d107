{{ config(tags=['reads_events']) }}
-- grain: customer × event name whose events are all metered alike: by prices of one subscription
-- that read the whole month
with
windows as (
    select * from {{ ref('measured_windows') }}
    where subscription_id is not null and not is_cost
),

metered as (
    select customer_id, event_name, sum(event_count) as metered_count
    from windows
    group by customer_id, event_name
    having
        min(case when is_whole_month then 1 else 0 end) = 1
        and min(subscription_id) = max(subscription_id)
),

-- where no meter could read all of them, it has to be seen which one read what
read_whole as (
    select windows.customer_id, windows.event_name, max(totals.event_count) as event_count
    from windows
    inner join {{ ref('month_totals') }} as totals
        on windows.customer_id = totals.customer_id and windows.meter_id = totals.meter_id
    -- a counter has no total of a first reading
    where windows.aggregation <> 'counter' and totals.unreadable_count = 0
    group by windows.customer_id, windows.event_name
)

select
    metered.customer_id,
    metered.event_name,
    read_whole.event_count,
    metered.metered_count
from metered
inner join read_whole
    on metered.customer_id = read_whole.customer_id
    and metered.event_name = read_whole.event_name
