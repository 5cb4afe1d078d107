-- grain: window of a carried gauge; the last value known before the window begins
with
windows as (select * from {{ ref('window_keys') }} where is_carried),

-- an event is carried into what begins after it
begins as (
    select customer_id, meter_id, max(window_start) as last_start
    from windows
    group by customer_id, meter_id
),

known as (
    select readings.*
    from {{ ref('meter_readings') }} as readings
    inner join begins
        on readings.customer_id = begins.customer_id
        and readings.meter_id = begins.meter_id
        and readings.occurred_at < begins.last_start
),

candidates as (
    {{ matched('known', 'windows', 'facts.occurred_at < keys.window_start', ['window_id']) }}
)

select
    window_id,
    max_by(value, (occurred_at, source_file, source_row)) as carried_value,
    max(occurred_at) as carried_from
from candidates
where value is not null
group by window_id
