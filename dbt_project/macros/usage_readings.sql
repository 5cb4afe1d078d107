{# How events are read by meters and measured by windows. Where few of either matter, they are named
   here, next to the events: DuckDB pushes no such condition into a view that computes values, and
   reads no event where there is none. #}

{# Accepted event × meter of `meters` that reads it, with the value that the meter reads. #}
{% macro readings_by(meters) -%}
    select
        *,
        case
            when property is null or aggregation = 'count' then quantity
            when aggregation <> 'unique_count' then {{ quantity_from_text('property_value') }}
        end as value,
        case
            when aggregation = 'unique_count'
                then case when property is null then plain(quantity) else property_value end
        end as unique_value
    from (
        select
            meters.meter_id,
            meters.aggregation,
            meters.property,
            events.*,
            case
                when meters.property is not null
                    then {{ property_text('events.properties', 'meters.property_path') }}
            end as property_value
        from {{ ref('accepted_events') }} as events
        inner join {{ meters }} as meters on events.event_name = meters.event_name
    ) as joined
{%- endmacro %}

{# Reading of `readings` × window that measures it, of those in `keys`. #}
{% macro measured(readings, keys) -%}
{%- set is_timely -%}
    facts.occurred_at >= keys.window_start and facts.occurred_at < keys.window_end
{%- endset -%}
{{ matched(readings, keys, is_timely, ['window_id', 'is_whole_month']) }}
{%- endmacro %}
