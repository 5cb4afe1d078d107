-- grain: window of the custom meter `peak_day_sum`: the highest sum of quantities of one UTC day.
-- A custom meter is a model of the meter's name with the columns window_id and quantity; list it
-- under `custom_meters` in dbt_project.yml.
with
days as (
    select window_id, occurred_at::date as usage_date, sum(value) as day_quantity
    from {{ ref('metered_events') }}
    where meter_id = 'peak_day_sum'
    group by all
)

select window_id, max(day_quantity)::decimal(38, 18) as quantity
from days
group by window_id
