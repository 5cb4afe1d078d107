-- grain: reading of a counter that follows another one, with the increase as its value; and readings
-- that the meter could not read. A reading below the one before is of a counter that began again.
{#- A table: eight models read it, and each of them would compute every increase of a view. #}
with
meters as (select * from {{ ref('stg_catalog__meters') }} where aggregation = 'counter'),

begins as (
    select meter_id, min(window_start) as first_start
    from {{ ref('usage_windows') }}
    where aggregation = 'counter'
    group by meter_id
),

readings as (
    select readings.*, begins.first_start
    from ({{ readings_by('meters') }}) as readings
    inner join begins on readings.meter_id = begins.meter_id
),

-- where the first reading within begins: the last one before; those earlier matter no more
before as (
    select
        customer_id, meter_id, subscription_id, group_values,
        max_by(value, (occurred_at, source_file, source_row)) as value
    from readings
    where occurred_at < first_start and value is not null
    group by customer_id, meter_id, subscription_id, group_values
),

ordered as (
    select
        readings.*,
        coalesce(
            lag(readings.value) over (
                partition by
                    readings.customer_id, readings.meter_id, readings.subscription_id,
                    readings.group_values, readings.value is null
                order by readings.occurred_at, readings.source_file, readings.source_row
            ),
            before.value
        ) as value_before
    from readings
    left join before
        on
            readings.customer_id = before.customer_id
            and readings.meter_id = before.meter_id
            and readings.subscription_id is not distinct from before.subscription_id
            and readings.group_values is not distinct from before.group_values
    where readings.occurred_at >= readings.first_start
)

select
    * {{ exclude('value', 'value_before', 'first_start') }},
    case when value < value_before then value else value - value_before end as value
from ordered
where value is null or value_before is not null
