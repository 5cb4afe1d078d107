-- grain: customer × meter that measures them over the whole month, with every event: nearly all
-- usage. It needs no window of its own for each; what adds up is the sum of its days.
{%- set whole_months -%}
    (select distinct meter_id, aggregation from {{ ref('usage_windows') }} where is_whole_month)
{%- endset -%}
{%- set readings -%}
    (
        select readings.*
        from {{ ref('meter_readings') }} as readings
        inner join {{ ref('stg_run') }} as run on readings.usage_month = run.billing_month
        inner join {{ whole_months }} as whole_months on readings.meter_id = whole_months.meter_id
    ) as readings
{%- endset %}

select
    days.customer_id,
    days.meter_id,
    sum(days.event_count - days.unreadable_count)::bigint as event_count,
    0 as correction_count,
    sum(days.unreadable_count)::bigint as unreadable_count,
    sum(days.quantity) as value_sum,
    null as value_max,
    null as value_latest,
    null as unique_values,
    null as value_percentile
from {{ ref('customer_usage') }} as days
inner join {{ whole_months }} as whole_months on days.meter_id = whole_months.meter_id
where whole_months.aggregation in ({{ aggregations_where('adds_up') }})
group by days.customer_id, days.meter_id
union all
{{ gauge_totals_by(['customer_id', 'meter_id'], readings) }}
