-- grain: customer × plan × meter × currency: what it brings this month and what it costs. What is
-- charged for no meter has none, what is of no subscription has no plan, and nothing is converted.
with
lines as (select * from {{ ref('lines_before_tax') }}),
plans as (select * from {{ ref('subscription_plans') }}),

-- nobody is billed for what a customer who is no payer is charged
charged as (
    select
        charges.customer_id, charges.plan_id, charges.meter_id, charges.currency,
        coalesce(lines.amount - lines.discount_share, 0) as revenue
    from {{ ref('charges') }} as charges
    left join lines on charges.charge_id = lines.charge_id and lines.kind = 'charge'
),

minimums as (
    select
        lines.customer_id, plans.plan_id, null::varchar as meter_id, lines.currency,
        lines.amount - lines.discount_share as revenue
    from lines
    inner join plans
        on lines.subscription_id = plans.subscription_id
        and plans.starts_at < lines.period_end
        and coalesce(plans.ends_at >= lines.period_end, true)
    where lines.kind = 'minimum'
),

-- what is paid beforehand is earned when it is used
others as (
    select
        customer_id, null::varchar as plan_id, null::varchar as meter_id, currency,
        amount as revenue
    from lines
    where kind in ('overage', 'adjustment', 'correction') or (kind = 'commitment' and is_taxed)
),

earned as (
    select *, 0 as cost, 0 as exact_cost from charged
    union all by name
    select *, 0 as cost, 0 as exact_cost from minimums
    union all by name
    select *, 0 as cost, 0 as exact_cost from others
    union all by name
    select
        customer_id, cost_plan_id as plan_id, meter_id, currency, 0 as revenue, amount as cost,
        exact_amount as exact_cost
    from {{ ref('rated_charges') }}
    where kind = 'cost'
)

select
    run.billing_month,
    earned.customer_id,
    earned.plan_id,
    earned.meter_id,
    earned.currency,
    sum(earned.revenue)::decimal(38, 4) as revenue,
    sum(earned.cost)::decimal(38, 4) as cost,
    (sum(earned.revenue) - sum(earned.cost))::decimal(38, 4) as margin,
    sum(earned.exact_cost)::decimal(38, 12) as exact_cost
from earned
cross join {{ ref('stg_run') }} as run
group by all
