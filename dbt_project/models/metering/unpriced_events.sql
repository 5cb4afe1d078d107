-- grain: accepted event of the month that no price charges by any meter and no limit counts, with
-- the reason that is nearest to a price
{%- set meters = ref('stg_catalog__meters') %}
{%- set read_in_doubt -%}
    (
        select meters.meter_id, events.*
        from {{ ref('events_in_doubt') }} as events
        inner join {{ meters }} as meters on events.event_name = meters.event_name
    )
{%- endset %}
with
times as (select * from {{ ref('reading_times') }} where subscription_id is not null),

-- in a trial too, and in whichever month its period is invoiced
priced as (
    {{ matched(
        read_in_doubt, 'times',
        'facts.occurred_at >= keys.starts_at and facts.occurred_at < keys.ends_at', ['price_id']
    ) }}
),

unpriced as (
    select * from {{ ref('events_in_doubt') }}
    where row_id not in (select row_id from priced)
),

readings as (
    select meters.meter_id, unpriced.*
    from unpriced
    inner join {{ meters }} as meters on unpriced.event_name = meters.event_name
),

in_gaps as (
    {{ matched(
        'readings', 'times',
        'facts.occurred_at >= keys.plan_starts_at and facts.occurred_at < keys.plan_ends_at',
        ['price_id']
    ) }}
),

filtered_out as (
    select readings.row_id
    from readings
    -- a meter's prices are many, the times in which it has any few
    inner join (
        select distinct customer_id, meter_id, subscription_id, starts_at, ends_at from times
    ) as times
        on readings.customer_id = times.customer_id
        and readings.meter_id = times.meter_id
        and readings.occurred_at >= times.starts_at
        and readings.occurred_at < times.ends_at
        and coalesce(readings.subscription_id = times.subscription_id, true)
),

subscribed as (
    select unpriced.row_id
    from unpriced
    inner join {{ ref('subscription_plans') }} as plans
        on unpriced.customer_id = plans.customer_id
        and unpriced.occurred_at >= plans.starts_at
        and coalesce(unpriced.occurred_at < plans.ends_at, true)
        and coalesce(unpriced.subscription_id = plans.subscription_id, true)
)

select
    row_id,
    customer_id,
    event_name,
    occurred_at,
    quantity,
    case
        when row_id in (select row_id from in_gaps) then 'price_gap'
        when row_id in (select row_id from filtered_out) then 'no_matching_filter'
        when row_id in (select row_id from subscribed) then 'no_price'
        else 'no_subscription'
    end as reason
from unpriced
