-- grain: window of a carried gauge; the last value known before the window begins
with
windows as (select * from {{ ref('usage_windows') }} where is_carried),

-- an event is carried into what begins after it
begins as (
    select customer_id, event_name, max(window_start) as last_start
    from windows
    group by customer_id, event_name
),

known as (
    select events.*
    from {{ ref('accepted_events') }} as events
    inner join begins
        on events.customer_id = begins.customer_id
        and events.event_name = begins.event_name
        and events.occurred_at < begins.last_start
),

candidates as (
    select
        windows.window_id,
        known.occurred_at,
        known.source_file,
        known.source_row,
        case
            when windows.property is null then known.quantity
            else {{ quantity_from_text(property_text('known.properties', 'windows.property_path')) }}
        end as value
    from windows
    inner join known
        on windows.customer_id = known.customer_id
        and windows.event_name = known.event_name
        and known.occurred_at < windows.window_start
    where {{ matches_filter('known.properties', 'windows.filter_paths', 'windows.filter_values') }}
)

select
    window_id,
    max_by(value, (occurred_at, source_file, source_row)) as carried_value,
    max(occurred_at) as carried_from
from candidates
where value is not null
group by window_id
