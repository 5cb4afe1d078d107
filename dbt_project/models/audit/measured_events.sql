{{ config(materialized=stored_on_spark('ephemeral'), tags=['reads_events']) }}
-- grain: event that is followed and that periods invoiced this month measure: how often, and for how
-- many subscriptions
with
readings as (
    select readings.*
    from {{ ref('meter_readings') }} as readings
    inner join {{ ref('followed_usage') }} as followed
        on readings.customer_id = followed.customer_id
        and readings.event_name = followed.event_name
    where
        not readings.is_correction
        and (
            readings.aggregation = 'count'
            or readings.value is not null
            or readings.unique_value is not null
        )
),

keys as (
    select keys.*
    from {{ ref('window_keys') }} as keys
    inner join {{ ref('followed_usage') }} as followed
        on keys.customer_id = followed.customer_id
        and keys.event_name = followed.event_name
    where keys.subscription_id is not null and not keys.is_cost
),

measured as (
    {{ measured('readings', 'keys') }}
)

select
    measured.row_id,
    measured.event_name,
    measured.usage_month,
    count(*) as metered_count,
    count(distinct windows.subscription_id) as subscription_count
from measured
inner join {{ ref('usage_windows') }} as windows on measured.window_id = windows.window_id
group by measured.row_id, measured.event_name, measured.usage_month
