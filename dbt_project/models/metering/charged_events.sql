-- grain: window of a percentage price with bounds of each event's amount, or with free events: how
-- many events are charged by the percentage, how many the minimum or the maximum
with
prices as (
    select
        *,
        {{ event_bound_quantity('event_minimum_amount', 'percentage') }} as minimum_quantity,
        {{ event_bound_quantity('event_maximum_amount', 'percentage') }} as maximum_quantity
    from {{ ref('stg_catalog__rated_prices') }}
    where coalesce(event_minimum_amount, event_maximum_amount) is not null or free_events > 0
),

terms as (
    select
        windows.window_id, windows.subscription_id, windows.price_id, windows.window_start,
        coalesce(prices.free_events, 0) as free_events, prices.minimum_quantity,
        prices.maximum_quantity
    from {{ ref('usage_windows') }} as windows
    inner join prices
        on windows.plan_id = prices.plan_id
        and windows.price_id = prices.price_id
        and windows.valid_from is not distinct from prices.valid_from
),

keys as (
    select * from {{ ref('window_keys') }} where window_id in (select window_id from terms)
),

events as (
    {{ measured(ref('meter_readings'), 'keys') }}
),

placed as (
    select
        window_id, value,
        row_number() over (partition by window_id order by occurred_at, event_id) as place
    from events
    where value is not null
),

charged as (
    select
        placed.*,
        case
            when placed.value <= terms.minimum_quantity then 'minimum'
            when placed.value > terms.maximum_quantity then 'maximum'
            else 'percentage'
        end as charged_by
    from placed
    inner join terms on placed.window_id = terms.window_id
    where placed.place > terms.free_events
),

totals as (
    select
        window_id,
        count(*) as charged_count,
        count(*) filter (where charged_by = 'minimum') as minimum_count,
        count(*) filter (where charged_by = 'maximum') as maximum_count,
        sum(value) filter (where charged_by = 'percentage') as percentage_sum
    from charged
    group by window_id
)

select
    terms.window_id,
    terms.subscription_id,
    terms.price_id,
    terms.window_start,
    coalesce(totals.charged_count, 0) as charged_count,
    coalesce(totals.minimum_count, 0) as minimum_count,
    coalesce(totals.maximum_count, 0) as maximum_count,
    -- corrections are charged at the plain percentage
    (coalesce(totals.percentage_sum, 0) + coalesce(corrections.corrected_quantity, 0))
    ::decimal(38, 18) as percentage_quantity
from terms
left join totals on terms.window_id = totals.window_id
left join {{ ref('window_corrections') }} as corrections on terms.window_id = corrections.window_id
