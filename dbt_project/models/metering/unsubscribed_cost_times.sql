{{ config(materialized=stored_on_spark()) }}
-- grain: version of a cost × customer × part of the month in which usage is counted for no plan
with
costs as (select * from {{ ref('stg_catalog__cost_prices') }}),
run as (select * from {{ ref('stg_run') }})

select
    -- no subscription's id: a line break is in none
    chr(10) || times.customer_id || chr(10) || times.named_id as subscription_id,
    cast(null as bigint) as subscription_number,
    times.customer_id,
    customers.currency as customer_currency,
    costs.plan_id,
    costs.price_id,
    costs.valid_from,
    costs.meter_id,
    costs.filter,
    costs.filter_rest,
    run.month_start as billing_period_start,
    epoch_us(run.month_end) - epoch_us(run.month_start) as billing_period_us,
    greatest(times.starts_at, coalesce(costs.valid_from, times.starts_at)) as active_start,
    least(times.ends_at, coalesce(costs.valid_to, times.ends_at)) as active_end,
    -- where no event names a subscription that matters, all of them count
    case when naming.customer_id is not null then times.named_id end as reads_subscription_id,
    times.named_id = '' as reads_unnamed,
    cast(null as varchar(20)) as cost_plan_id,
    false as costs_unused
from {{ ref('unsubscribed_times') }} as times
cross join costs
cross join run
inner join {{ ref('stg_accounts__customers') }} as customers
    on times.customer_id = customers.customer_id
left join {{ ref('customers_naming_subscriptions') }} as naming
    on times.customer_id = naming.customer_id
