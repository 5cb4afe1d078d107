-- grain: charge: the priced result of one price for one subscription and service period
with
quantities as (select * from {{ ref('billable_quantities') }}),
rated as (select * from {{ ref('rated_charges') }}),
plans as (select * from {{ ref('stg_catalog__plans') }}),
run as (select * from {{ ref('stg_run') }}),

named as (
    select
        quantities.*,
        rated.* exclude (charge_id),
        run.billing_month,
        run.month_start,
        run.timezone,
        coalesce(
            quantities.description,
            plans.name || ': ' || coalesce(quantities.meter_id, quantities.price_id)
        ) as template
    from quantities
    inner join rated on quantities.charge_id = rated.charge_id
    inner join plans on quantities.subscription_plan_id = plans.plan_id
    cross join run
)

select
    charge_id,
    billing_month,
    customer_id,
    subscription_id,
    subscription_plan_id as plan_id,
    price_id,
    meter_id,
    kind,
    charge_model,
    currency,
    quantity::decimal(38, 18) as quantity,
    exact_shown(billable) as billable_quantity,
    event_count::bigint as event_count,
    exact_amount,
    amount,
    period_start,
    period_end,
    billing_period_start,
    case
        when contains(template, '{') then replace(replace(replace(replace(
            template,
            '{month}', {{ charged_month() }}),
            '{quantity}', plain(quantity)),
            '{events}', event_count::varchar),
            '{amount}', {{ money_text('amount', 'currency', 'exponent') }}
        )
        else template
    end
    || case when kind = 'advance_credit' then ' (unused time)' else '' end
    || case
        when carried_from is not null and event_count = 0
            then ' (no data this period; last known value of '
                || strftime(timezone('UTC', carried_from), '%Y-%m-%d') || ')'
        else ''
    end as description,
    {{ calculation_text() }} as calculation
from named
