{{ config(tags=['reads_events']) }}
-- grain: customer × event name whose events have to be followed one by one, for they are not all
-- metered alike. Where the totals of the month are of all events of a name, only customers who have
-- some are here.
with
meters as (select * from {{ ref('stg_catalog__meters') }} where event_name is not null),

-- a counter has no total of a first reading
totalled as (
    select distinct meters.meter_id, meters.event_name
    from {{ ref('usage_windows') }} as windows
    inner join meters on windows.meter_id = meters.meter_id
    where windows.is_whole_month and meters.aggregation <> 'counter'
),

possible as (
    select totals.customer_id, totalled.event_name
    from {{ ref('month_totals') }} as totals
    inner join totalled on totals.meter_id = totalled.meter_id
    union
    select customers.customer_id, meters.event_name
    from {{ ref('stg_accounts__customers') }} as customers
    cross join meters
    where meters.event_name not in (select event_name from totalled)
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
