{# Customer × event name of which the month may have events. Where the totals of the month are of all
   events of a name, only customers who have some are here. #}
{% macro possible_usage() %}
    with
    meters as (select * from {{ ref('stg_catalog__meters') }} where event_name is not null),

    -- a counter has no total of a first reading
    totalled as (
        select distinct meters.meter_id, meters.event_name
        from {{ ref('usage_windows') }} as windows
        inner join meters on windows.meter_id = meters.meter_id
        where windows.is_whole_month and meters.aggregation <> 'counter'
    )

    select totals.customer_id, totalled.event_name
    from {{ ref('month_totals') }} as totals
    inner join totalled on totals.meter_id = totalled.meter_id
    union
    select customers.customer_id, meters.event_name
    from {{ ref('stg_accounts__customers') }} as customers
    cross join meters
    where meters.event_name not in (select event_name from totalled)
{% endmacro %}
