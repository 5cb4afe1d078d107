{# Customer × event name of which the month may have events: those who have some. #}
{% macro possible_usage() %}
    with
    meters as (select * from {{ ref('stg_catalog__meters') }} where event_name is not null),

    -- a counter does not count the reading that it begins with
    counted as (select meter_id, event_name from meters where aggregation <> 'counter')

    select days.customer_id, counted.event_name
    from {{ ref('customer_usage') }} as days
    inner join counted on days.meter_id = counted.meter_id
    union
    select customers.customer_id, meters.event_name
    from {{ ref('stg_accounts__customers') }} as customers
    cross join meters
    where meters.event_name not in (select event_name from counted)
{% endmacro %}
