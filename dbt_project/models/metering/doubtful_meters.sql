-- grain: meter that may have been unable to read an event of the month's folder. The totals know of
-- those that they measured; what a longer period measures that goes on is in none of them yet,
-- but in those of the month, which have every customer's events. Where all could be read, none is
-- read again.
with
month_totals as (select * from {{ ref('month_totals') }}),

measured as (
    select windows.meter_id
    from {{ ref('window_totals') }} as totals
    inner join {{ ref('usage_windows') }} as windows on totals.window_id = windows.window_id
    where totals.unreadable_count > 0
),

going_on as (
    select prices.meter_id
    from {{ ref('stg_catalog__prices') }} as prices
    inner join {{ ref('subscription_plans') }} as subscriptions
        on prices.plan_id = subscriptions.plan_id
    where
        (subscriptions.billing_cycle <> 'calendar_month' or prices.price_interval is not null)
        and prices.meter_id not in (select meter_id from month_totals)
    union all
    select costs.meter_id
    from {{ ref('stg_catalog__cost_prices') }} as costs
    where costs.meter_id not in (select meter_id from month_totals)
)

select *
from {{ ref('stg_catalog__meters') }}
where
    property is not null
    and aggregation <> 'count'
    and meter_id in (
        select meter_id from month_totals where unreadable_count > 0
        union all
        select meter_id from measured
        union all
        select meter_id from going_on
    )
