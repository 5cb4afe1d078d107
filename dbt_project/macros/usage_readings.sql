{# How events are read by meters and measured by windows. Where few of either matter, they are named
   here, next to the events: DuckDB pushes no such condition into a view that computes values, and
   reads no event where there is none. #}

{# Accepted event × meter of `meters` that reads it, with the value that the meter reads. Of a
   correction that number is its quantity, whatever property the meter reads, and as it is. #}
{% macro readings_by(meters, events=none, is_correction=false) -%}
    select
        * {{ exclude('number') }},
        {% if is_correction -%}
        number
        {%- else -%}
        case
            when event_rounding is null then number else rounded_up(number, event_rounding)
        end
        {%- endif %} as value
    from (
        select
            *,
            case
                when property is null or aggregation = 'count' then quantity
                when aggregation <> 'unique_count'
                    then {{ 'quantity' if is_correction else quantity_from_text('property_value') }}
            end as number,
            case
                when aggregation = 'unique_count'
                    then case when property is null then plain(quantity) else property_value end
            end as unique_value
        from (
            select
                meters.meter_id,
                meters.aggregation,
                meters.property,
                meters.percentile,
                meters.event_rounding,
                meters.is_split,
                events.*,
                {{ is_correction }} as is_correction,
                case
                    when meters.property is not null
                        then {{ property_text('events.properties', 'meters.property_path') }}
                end as property_value,
                case
                    when meters.group_paths is not null
                        then {{ property_texts('events.properties', 'meters.group_paths') }}
                end as group_values,
                case
                    when meters.bucket_zone is not null then local_bucket(
                        meters.bucket_zone, meters.bucket, epoch_us(events.occurred_at)
                    )
                end as bucket_start
            from {{ events or ref('accepted_events') }} as events
            inner join {{ meters }} as meters on events.event_name = meters.event_name
        ) as joined
    ) as read
{%- endmacro %}

{# Reading of `readings` × window that measures it, of those in `keys`. #}
{% macro measured(readings, keys) -%}
{%- set is_timely -%}
    facts.occurred_at >= keys.window_start and facts.occurred_at < keys.window_end
{%- endset -%}
{{ matched(
    readings, keys, is_timely, ['window_id', 'is_whole_month'], 'reads_subscription_id',
    'keys.reads_unnamed'
) }}
{%- endmacro %}
