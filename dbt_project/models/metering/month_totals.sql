-- grain: customer × meter that measures them over the whole month, with every event: nearly all
-- usage. It needs no window of its own for each, only one pass that groups.
with
readings as (
    select readings.*
    from {{ ref('meter_readings') }} as readings
    inner join {{ ref('stg_run') }} as run on readings.usage_month = run.billing_month
    where readings.meter_id in (
        select meter_id from {{ ref('usage_windows') }} where is_whole_month
    )
)

{{ totals_by(['customer_id', 'meter_id'], 'readings') }}
