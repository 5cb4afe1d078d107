{{ config(materialized=stored_on_spark()) }}
-- grain: customer × part of the month without a subscription, and, where events name subscriptions,
-- subscription × part of the month in which it is not active: what usage costs then is of no plan
with
run as (select * from {{ ref('stg_run') }}),
costs as (select count(*) as cost_count from {{ ref('stg_catalog__cost_prices') }}),
plans as (select * from {{ ref('subscription_plans') }}),
naming as (select * from {{ ref('customers_naming_subscriptions') }}),

times as (
    select customer_id, '' as named_id, starts_at, ends_at from plans
    union all
    select plans.customer_id, plans.subscription_id as named_id, plans.starts_at, plans.ends_at
    from plans
    inner join naming on plans.customer_id = naming.customer_id
),

asked as (
    select customers.customer_id, '' as named_id
    from {{ ref('stg_accounts__customers') }} as customers
    inner join costs on costs.cost_count > 0
    union
    select times.customer_id, times.named_id
    from times
    inner join costs on costs.cost_count > 0
),

-- a part begins with the month, or where a subscription ends
points as (
    select asked.customer_id, asked.named_id, run.month_start as starts_at
    from asked
    cross join run
    union
    select times.customer_id, times.named_id, times.ends_at as starts_at
    from times
    inner join asked
        on times.customer_id = asked.customer_id and times.named_id = asked.named_id
    inner join run on times.ends_at > run.month_start and times.ends_at < run.month_end
),

parts as (
    select
        points.customer_id,
        points.named_id,
        points.starts_at,
        min(case when times.starts_at > points.starts_at then times.starts_at end) as next_start,
        max(case
            when
                times.starts_at <= points.starts_at
                and coalesce(times.ends_at > points.starts_at, true) then 1
            else 0
        end) as is_subscribed
    from points
    left join times
        on points.customer_id = times.customer_id and points.named_id = times.named_id
    group by points.customer_id, points.named_id, points.starts_at
)

select
    parts.customer_id,
    parts.named_id,
    parts.starts_at,
    least(run.month_end, coalesce(parts.next_start, run.month_end)) as ends_at
from parts
cross join run
where parts.is_subscribed = 0
