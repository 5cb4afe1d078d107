{{ config(tags=['reads_events']) }}
-- grain: meter × day of the billing time zone: what its accepted events say
with
-- a time zone's day begins at a quarter of an hour: few of those have to be asked for their day
quarters as (
    select
        readings.meter_id,
        readings.aggregation,
        whole_quotient(epoch_us(readings.occurred_at), 900000000) as quarter,
        count(*) as event_count,
        sum(case when readings.aggregation = 'count' then 1 else readings.value end)
            filter (where readings.aggregation in ({{ aggregations_where('adds_up') }})) as quantity
    from {{ ref('meter_readings') }} as readings
    inner join {{ ref('stg_run') }} as run on readings.usage_month = run.billing_month
    where not readings.is_correction
    group by all
)

select
    run.billing_month,
    quarters.meter_id,
    local_date(run.timezone, (quarters.quarter * 900000000)::bigint) as usage_date,
    sum(quarters.event_count)::bigint as event_count,
    sum(quarters.quantity)::decimal(38, 18) as quantity
from quarters
cross join {{ ref('stg_run') }} as run
group by all
