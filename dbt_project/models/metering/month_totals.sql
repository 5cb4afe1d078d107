-- grain: customer × meter that measures them over the whole month, with every event: nearly all
-- usage. It needs no window of its own for each, only one pass that groups.
{%- set readings -%}
    (
        select readings.*
        from {{ ref('meter_readings') }} as readings
        inner join {{ ref('stg_run') }} as run on readings.usage_month = run.billing_month
        inner join (
            select distinct meter_id from {{ ref('usage_windows') }} where is_whole_month
        ) as whole_months on readings.meter_id = whole_months.meter_id
    ) as readings
{%- endset %}

{{ totals_by(['customer_id', 'meter_id'], readings) }}
