{{ config(materialized='view') }}
-- grain: accepted event × meter that reads it, with the value that the meter reads
-- (null: the event lacks the property or has no usable number there; see usage_issues)
with
joined as (
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
    inner join {{ ref('stg_catalog__meters') }} as meters
        on events.event_name = meters.event_name
)

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
from joined
