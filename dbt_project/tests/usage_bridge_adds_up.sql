{{ config(meta={'dagster': {'ref': {'name': 'event_bridge'}}}) }}
-- the events that it begins with are those of the usage files, each is in one place, and those that
-- it ends with are those of metered_usage
with
bridge as (select * from {{ ref('event_bridge') }}),

metered as (
    select meters.event_name, sum(measured.event_count) as events
    from {{ ref('metered_usage') }} as measured
    inner join {{ ref('stg_catalog__meters') }} as meters on measured.meter_id = meters.meter_id
    where measured.event_count > 0
    group by meters.event_name
)

select event_name as what
from bridge
where
    accepted_events
    <> unpriced_events + limit_events + unread_events + later_events + metered_once
union all
select 'accepted' as what
where
    (select coalesce(sum(accepted_events), 0) from bridge)
    <> (select coalesce(sum(accepted_rows), 0) from {{ ref('usage_files') }})
union all
select coalesce(bridge.event_name, metered.event_name) as what
from bridge
full outer join metered on bridge.event_name = metered.event_name
where coalesce(bridge.metered_events, 0) <> coalesce(metered.events, 0)
