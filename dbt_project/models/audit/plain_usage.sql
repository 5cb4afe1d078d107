{{ config(tags=['reads_events']) }}
-- grain: customer × event name whose events are all metered alike: by prices of one subscription
-- that read the whole month
with
-- an event is in one of a price's windows, which do not overlap
priced as (
    select
        windows.customer_id,
        windows.event_name,
        windows.subscription_id,
        windows.price_id,
        windows.meter_id,
        max(windows.aggregation) as aggregation,
        sum(windows.event_count) as event_count,
        sum(coalesce(totals.unreadable_count, 0)) as unreadable_count,
        min(windows.window_start) >= min(run.month_start)
        and max(windows.window_end) <= max(run.month_end)
        and sum(epoch_us(windows.window_end) - epoch_us(windows.window_start))
        = max(epoch_us(run.month_end) - epoch_us(run.month_start))
        and max(case
            when windows.filter <> '' or windows.filter_rest or windows.is_by_subscription then 1
            else 0
        end) = 0 as reads_whole_month
    from {{ ref('measured_windows') }} as windows
    cross join {{ ref('stg_run') }} as run
    left join {{ ref('window_totals') }} as totals on windows.window_id = totals.window_id
    where windows.subscription_id is not null and not windows.is_cost
    group by
        windows.customer_id, windows.event_name, windows.subscription_id, windows.price_id,
        windows.meter_id
),

-- where no meter could read all of them, it has to be seen which one read what; a counter does not
-- count a first reading
metered as (
    select
        customer_id,
        event_name,
        max(
            case when unreadable_count = 0 and aggregation <> 'counter' then event_count end
        ) as event_count,
        sum(event_count) as metered_count
    from priced
    group by customer_id, event_name
    having
        min(case when reads_whole_month then 1 else 0 end) = 1
        and min(subscription_id) = max(subscription_id)
)

select * from metered where event_count > 0
