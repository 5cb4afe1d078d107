{{ config(materialized='view') }}
-- grain: row of a usage file, with the reason why it cannot be billed (none: null)
with
events as (select * from {{ source('raw', 'usage_events') }}),
folders as (select * from {{ source('raw', 'months') }}),
known_customers as (select distinct customer_id from {{ source('raw', 'customers') }}),
known_subscriptions as (
    select distinct subscription_id, customer_id from {{ source('raw', 'subscriptions') }}
),
known_names as (
    select distinct event_name from {{ source('raw', 'meters') }} where event_name is not null
)

select
    events.usage_month,
    events.row_id,
    events.event_id,
    events.customer_id,
    events.event_name,
    events.occurred_at,
    events.quantity,
    events.properties,
    events.subscription_id,
    events.source_file,
    events.source_row,
    {{ given_columns('events') }},
    case
        when events.parse_error is not null then events.parse_error
        when events.event_id is null then 'missing_event_id'
        when events.customer_id is null then 'missing_customer_id'
        when events.event_name is null then 'missing_event_name'
        when events.occurred_at is null then 'missing_timestamp'
        when events.occurred_at < folders.month_start
            or events.occurred_at >= folders.month_end then 'outside_month'
        when known_customers.customer_id is null then 'unknown_customer'
        when known_names.event_name is null then 'unknown_event_name'
        when events.subscription_id is not null and known_subscriptions.subscription_id is null
            then 'unknown_subscription'
        when events.quantity < 0 then 'negative_quantity'
    end as rejection_reason
from events
inner join folders on events.usage_month = folders.billing_month
left join known_customers on events.customer_id = known_customers.customer_id
left join known_names on events.event_name = known_names.event_name
left join known_subscriptions
    on
        events.subscription_id = known_subscriptions.subscription_id
        and events.customer_id = known_subscriptions.customer_id
