{{ config(materialized=stored_on_spark('ephemeral'), tags=['reads_events']) }}
-- grain: accepted event of the month that has a price or a limit and is metered for no period that
-- this month invoices, with the reason: `unread` (its meters could not read it, or it is the first
-- reading of a counter), `later` (a later month invoices its period), `limit` (only a limit counts it)
with
meters as (select * from {{ ref('stg_catalog__meters') }}),

unmetered as (
    select events.*
    from {{ ref('accepted_events') }} as events
    inner join {{ ref('stg_run') }} as run on events.usage_month = run.billing_month
    inner join {{ ref('followed_usage') }} as followed
        on events.customer_id = followed.customer_id
        and events.event_name = followed.event_name
    where
        events.row_id not in (
            select row_id from {{ ref('measured_events') }}
            union all
            select row_id from {{ ref('unpriced_events') }}
        )
),

readings as (
    select meters.meter_id, unmetered.*
    from unmetered
    inner join meters on unmetered.event_name = meters.event_name
),

keys as (
    select * from {{ ref('window_keys') }}
    where
        subscription_id is not null
        and not is_cost
        and customer_id in (select customer_id from unmetered)
),

times as (
    select * from {{ ref('reading_times') }}
    where
        subscription_id is not null
        and customer_id in (select customer_id from unmetered)
),

unread as (
    {{ measured('readings', 'keys') }}
),

later as (
    {{ matched(
        'readings', 'times',
        'facts.occurred_at >= keys.starts_at and facts.occurred_at < keys.ends_at', ['price_id']
    ) }}
),

limited as (
    select distinct entitled.customer_id, meters.event_name
    from {{ ref('entitled_features') }} as entitled
    inner join meters on entitled.meter_id = meters.meter_id
)

select
    unmetered.row_id,
    unmetered.event_name,
    case
        when unmetered.row_id in (select row_id from unread) then 'unread'
        when unmetered.row_id in (select row_id from later) then 'later'
        when limited.customer_id is not null then 'limit'
    end as reason
from unmetered
left join limited
    on unmetered.customer_id = limited.customer_id
    and unmetered.event_name = limited.event_name
