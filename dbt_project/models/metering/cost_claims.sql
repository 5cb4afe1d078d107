{{ config(materialized=stored_on_spark()) }}
-- grain: subscription × time in which it stays on one plan × meter with a cost: how near the plan is to
-- what that usage costs
with
plans as (select * from {{ ref('subscription_plans') }}),
meters as (select distinct meter_id from {{ ref('stg_catalog__cost_prices') }}),

priced as (
    select distinct plan_id, meter_id from {{ ref('stg_catalog__prices') }} where meter_id is not null
),

entitled as (
    select distinct plan_id, meter_id from {{ ref('stg_catalog__entitlements') }}
    where meter_id is not null
)

select
    plans.*,
    meters.meter_id,
    case
        when priced.meter_id is not null then 1
        when entitled.meter_id is not null then 2
        else 3
    end as claim
from plans
cross join meters
left join priced on plans.plan_id = priced.plan_id and meters.meter_id = priced.meter_id
left join entitled on plans.plan_id = entitled.plan_id and meters.meter_id = entitled.meter_id
