-- grain: time in which a subscription's usage is measured for one price: the billing period,
-- while subscribed, at this price version, cut in two where a trial ends.
-- Windows without a price measure a month's usage for the entitlements; those of costs, what usage
-- costs.
with
meters as (select * from {{ ref('stg_catalog__meters') }}),
entitled as (select * from {{ ref('entitled_features') }} where meter_id is not null),
run as (select * from {{ ref('stg_run') }}),

windows as (
    select * from {{ ref('subscription_windows') }}
    union all
    select distinct
        null as subscription_id,
        null as subscription_number,
        entitled.customer_id,
        null as customer_currency,
        null as plan_id,
        null as price_id,
        null as valid_from,
        entitled.meter_id,
        '' as filter,
        false as filter_rest,
        null as billing_period_start,
        null as billing_period_us,
        false as is_trial,
        run.month_start as window_start,
        run.month_end as window_end,
        null as reads_subscription_id,
        true as reads_unnamed,
        false as is_cost,
        null as cost_plan_id,
        true as costs_unused
    from entitled
    cross join run
)

select
    row_number() over (
        order by
            windows.customer_id, windows.subscription_id nulls last, windows.price_id nulls last,
            windows.meter_id, windows.window_start, windows.valid_from nulls last
    ) as window_id,
    windows.*,
    meters.event_name,
    meters.aggregation,
    meters.property,
    meters.property_path,
    meters.is_gauge,
    meters.is_split,
    meters.bucket,
    meters.bucket_zone,
    coalesce(meters.carry_forward, false) as is_carried,
    windows.subscription_id is not null and naming.customer_id is not null
        as is_by_subscription,
    -- then its events are all that the customer's meter reads in the month
    windows.window_start = run.month_start
    and windows.window_end = run.month_end
    and not meters.is_split
    and windows.filter = ''
    and not windows.filter_rest
    and (windows.subscription_id is null or naming.customer_id is null) as is_whole_month
from windows
cross join run
inner join meters on windows.meter_id = meters.meter_id
left join {{ ref('customers_naming_subscriptions') }} as naming
    on windows.customer_id = naming.customer_id
