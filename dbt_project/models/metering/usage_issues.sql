-- grain: event of the month's folder × meter that could not read it, also where its period is
-- invoiced later, and metered quantities that corrections took below zero; the event counts for
-- the other meters
with
meters as (select * from {{ ref('doubtful_meters') }}),
prices as (select * from {{ ref('stg_catalog__prices') }}),
subscriptions as (select * from {{ ref('subscription_plans') }}),
entitled as (select * from {{ ref('entitled_features') }}),
run as (select * from {{ ref('stg_run') }}),

-- whose events each meter reads, and when: for a price in whichever period, or for a limit
reading_times as (
    select
        subscriptions.customer_id,
        prices.meter_id,
        greatest(
            subscriptions.starts_at, coalesce(prices.valid_from, subscriptions.starts_at)
        ) as starts_at,
        least(
            coalesce(subscriptions.ends_at, run.month_end), coalesce(prices.valid_to, run.month_end)
        ) as ends_at,
        prices.filter
    from subscriptions
    inner join prices on subscriptions.plan_id = prices.plan_id
    inner join meters on prices.meter_id = meters.meter_id
    cross join run
    union all
    select entitled.customer_id, entitled.meter_id, run.month_start, run.month_end, null as filter
    from entitled
    inner join meters on entitled.meter_id = meters.meter_id
    cross join run
),

filtered_times as (
    select
        * {{ exclude('filter') }},
        {{ filter_paths('filter') }} as filter_paths,
        {{ filter_values('filter') }} as filter_values
    from reading_times
),

readings as (
    {{ readings_by('meters') }}
),

unreadable as (
    select distinct
        readings.meter_id,
        readings.customer_id,
        readings.event_id,
        readings.source_file,
        readings.source_row::bigint as source_row,
        case
            when readings.property_value is null then 'missing_property'
            when {{ is_decimal_text('readings.property_value') }} then 'property_out_of_range'
            else 'invalid_property'
        end as reason
    from readings
    inner join run on readings.usage_month = run.billing_month
    inner join filtered_times as times
        on readings.customer_id = times.customer_id
        and readings.meter_id = times.meter_id
        and readings.occurred_at >= times.starts_at
        and readings.occurred_at < times.ends_at
    where
        readings.value is null
        and readings.unique_value is null
        and {{ matches_filter('readings.properties', 'times.filter_paths', 'times.filter_values') }}
),

negative as (select * from {{ ref('measured_windows') }} where quantity < 0)

select run.billing_month, issues.*
from (
    select * from unreadable
    union all
    select distinct meter_id, customer_id, null, null, null, 'quantity_below_zero' from negative
) as issues
cross join run
