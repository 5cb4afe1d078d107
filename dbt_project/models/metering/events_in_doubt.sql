{{ config(materialized='view') }}
-- grain: accepted event of the month that perhaps no price charges: not one of a customer and event
-- name that a price reads whole through the month, or that a limit counts. Where the totals of
-- the month know of no such customer, no event is read again.
with
meters as (select * from {{ ref('stg_catalog__meters') }} where event_name is not null),
run as (select * from {{ ref('stg_run') }}),

read_whole as (
    select distinct times.customer_id, meters.event_name
    from {{ ref('reading_times') }} as times
    inner join meters on times.meter_id = meters.meter_id
    cross join run
    left join {{ ref('customers_naming_subscriptions') }} as naming
        on times.customer_id = naming.customer_id
    where
        times.feature is not null
        or (
            times.filter = ''
            and times.starts_at <= run.month_start
            and times.ends_at >= run.month_end
            -- what names a subscription is read by the prices of that one only
            and naming.customer_id is null
        )
),

-- by these totals each customer with events is known; a counter has none of a first reading
totalled as (
    select distinct meters.meter_id, meters.event_name
    from {{ ref('usage_windows') }} as windows
    inner join meters on windows.meter_id = meters.meter_id
    where windows.is_whole_month and meters.aggregation <> 'counter'
),

doubtful_names as (
    select totalled.event_name
    from {{ ref('month_totals') }} as totals
    inner join totalled on totals.meter_id = totalled.meter_id
    left join read_whole
        on totals.customer_id = read_whole.customer_id
        and totalled.event_name = read_whole.event_name
    where read_whole.customer_id is null
    union
    select event_name from meters
    where event_name not in (select event_name from totalled)
)

select events.*
from {{ ref('accepted_events') }} as events
inner join doubtful_names on events.event_name = doubtful_names.event_name
inner join run on events.usage_month = run.billing_month
left join read_whole
    on events.customer_id = read_whole.customer_id
    and events.event_name = read_whole.event_name
where read_whole.customer_id is null
