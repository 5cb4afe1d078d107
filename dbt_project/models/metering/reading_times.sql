{{ config(materialized=stored_on_spark()) }}
-- grain: subscription × price version × combination of properties that its filter accepts, or
-- customer × limited feature: whose events of the month a meter reads, and when, in whichever
-- period they are invoiced
with
prices as (select * from {{ ref('stg_catalog__prices') }} where meter_id is not null),
subscriptions as (select * from {{ ref('subscription_plans') }}),
entitled as (select * from {{ ref('entitled_features') }} where meter_id is not null),
run as (select * from {{ ref('stg_run') }}),

times as (
    select
        subscriptions.customer_id,
        subscriptions.subscription_id,
        subscriptions.plan_id,
        subscriptions.starts_at as plan_starts_at,
        coalesce(subscriptions.ends_at, run.month_end) as plan_ends_at,
        subscriptions.trial_ends_at,
        prices.price_id,
        prices.valid_from,
        null as feature,
        prices.meter_id,
        prices.filter,
        prices.filter_rest,
        greatest(
            subscriptions.starts_at, coalesce(prices.valid_from, subscriptions.starts_at)
        ) as starts_at,
        least(
            coalesce(subscriptions.ends_at, run.month_end), coalesce(prices.valid_to, run.month_end)
        ) as ends_at
    from subscriptions
    inner join prices on subscriptions.plan_id = prices.plan_id
    cross join run
    union all
    select
        entitled.customer_id,
        null as subscription_id,
        null as plan_id,
        null as plan_starts_at,
        null as plan_ends_at,
        null as trial_ends_at,
        null as price_id,
        null as valid_from,
        entitled.feature,
        entitled.meter_id,
        '' as filter,
        false as filter_rest,
        run.month_start as starts_at,
        run.month_end as ends_at
    from entitled
    cross join run
)

select times.*, filters.paths, filters.texts, filters.bounds
from times
inner join {{ source('raw', 'filters') }} as filters on times.filter = filters.filter
