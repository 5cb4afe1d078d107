-- grain: event of the month's folder × meter that could not read it, also where its period is
-- invoiced later; the event counts for the other meters. Customer × meter whose quantity
-- corrections took below zero, or whose usage several subscriptions charge
with
meters as (select * from {{ ref('doubtful_meters') }}),
times as (
    select * from {{ ref('reading_times') }} where meter_id in (select meter_id from meters)
),
run as (select * from {{ ref('stg_run') }}),

unread as (
    select readings.*
    from ({{ readings_by('meters') }}) as readings
    inner join run on readings.usage_month = run.billing_month
    where readings.value is null and readings.unique_value is null
),

matched as (
    {{ matched(
        'unread', 'times',
        'facts.occurred_at >= keys.starts_at and facts.occurred_at < keys.ends_at', ['ends_at']
    ) }}
),

-- a cost reads the usage of every customer
asked_for as (
    select meter_id, customer_id, event_id, source_file, source_row, property_value from matched
    union all
    select meter_id, customer_id, event_id, source_file, source_row, property_value from unread
    where meter_id in (select meter_id from {{ ref('stg_catalog__cost_prices') }})
),

unreadable as (
    select distinct
        meter_id,
        customer_id,
        event_id,
        source_file,
        source_row::bigint as source_row,
        case
            when property_value is null then 'missing_property'
            when {{ is_decimal_text('property_value') }} then 'property_out_of_range'
            else 'invalid_property'
        end as reason
    from asked_for
),

negative as (select * from {{ ref('measured_windows') }} where quantity < 0)

select
    run.billing_month,
    issues.meter_id,
    issues.customer_id,
    issues.event_id,
    issues.source_file,
    issues.source_row,
    issues.reason
from (
    select * from unreadable
    union all
    select distinct meter_id, customer_id, null, null, null, 'quantity_below_zero' from negative
    union all
    select meter_id, customer_id, null, null, null, 'charged_by_several_subscriptions'
    from {{ ref('usage_charged_twice') }}
) as issues
cross join run
