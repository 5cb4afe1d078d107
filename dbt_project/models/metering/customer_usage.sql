-- grain: customer × meter × day of the billing time zone: what their accepted events say. The one
-- pass over the events of nearly all usage.
with
run as (select * from {{ ref('stg_run') }}),

edges as (
    select
        timezone,
        whole_quotient(epoch_us(month_start), 900000000) as first_quarter,
        whole_quotient(epoch_us(month_end), 900000000) as last_quarter
    from run
),

-- a time zone's day begins at a quarter of an hour: these are asked for their day, not each event
quarters as (
    select
        quarter,
        local_date(timezone, (quarter * 900000000)::bigint) as usage_date
    from (
        select
            timezone,
            {{ each_number('first_quarter', 'last_quarter') }} as quarter
        from edges
    ) as of_the_month
),

readings as (
    select
        *,
        {{ is_read() }} as is_read
    from {{ ref('meter_readings') }}
    where not is_correction
)

select
    run.billing_month,
    readings.customer_id,
    readings.meter_id,
    quarters.usage_date,
    count(*)::bigint as event_count,
    (count(*) filter (where not readings.is_read))::bigint as unreadable_count,
    sum(
        case when readings.aggregation = 'count' then 1 else readings.value end
    ) filter (
        where readings.aggregation in ({{ aggregations_where('adds_up') }})
    )::decimal(38, 18) as quantity
from readings
inner join run on readings.usage_month = run.billing_month
inner join quarters
    on whole_quotient(epoch_us(readings.occurred_at), 900000000) = quarters.quarter
group by run.billing_month, readings.customer_id, readings.meter_id, quarters.usage_date
