{{ config(materialized='view') }}
-- grain: accepted event × window that measures it, with the value that the meter reads
-- (null: the event lacks the property or has no usable number there; see usage_issues)
with
events as (select * from {{ ref('accepted_events') }}),
windows as (select * from {{ ref('usage_windows') }}),

joined as (
    select
        windows.window_id,
        windows.meter_id,
        windows.aggregation,
        windows.property,
        events.customer_id,
        events.occurred_at,
        events.source_file,
        events.source_row,
        events.event_id,
        events.usage_month,
        events.quantity,
        case
            when windows.property is not null
                then {{ property_text('events.properties', 'windows.property_path') }}
        end as property_value
    from events
    inner join windows
        on events.customer_id = windows.customer_id
        and events.event_name = windows.event_name
        and events.occurred_at >= windows.window_start
        and events.occurred_at < windows.window_end
    where {{ matches_filter('events.properties', 'windows.filter_paths', 'windows.filter_values') }}
)

select
    * exclude (property_value),
    property_value,
    case
        when property is null or aggregation = 'count' then quantity
        when aggregation <> 'unique_count' then {{ quantity_from_text('property_value') }}
    end as value,
    case
        when aggregation = 'unique_count'
            then case when property is null then plain(quantity) else property_value end
    end as unique_value
from joined
