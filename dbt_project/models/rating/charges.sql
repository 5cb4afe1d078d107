-- grain: charge: the priced result of one price for one subscription and service period
with
rated as (select * from {{ ref('rated_charges') }}),
plans as (select * from {{ ref('stg_catalog__plans') }}),
run as (
    select
        billing_month,
        month_end,
        timezone,
        {{ month_name('billing_month') }} as billed_month_name,
        {{ month_name('(billing_month + to_months(1))') }} as coming_month_name
    from {{ ref('stg_run') }}
),

named as (
    select
        rated.*,
        run.billing_month,
        run.month_end,
        run.timezone,
        run.billed_month_name,
        run.coming_month_name,
        coalesce(
            rated.description,
            plans.name || ': ' || coalesce(rated.meter_id, rated.price_id)
        ) as template
    from rated
    inner join plans on rated.subscription_plan_id = plans.plan_id
    cross join run
    where rated.kind not in ('run_rate', 'cost')
)

select
    charge_id,
    billing_month,
    customer_id,
    subscription_id,
    subscription_number::bigint as subscription_number,
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
    month_sold_until,
    tax_code,
    {{ fill_placeholders('template', [
        ('{month}', charged_month()),
        ('{quantity}', 'plain(quantity)'),
        ('{events}', 'event_count::varchar'),
        ('{amount}', money_text('amount', 'currency', 'exponent')),
    ]) }}
    || case when kind = 'advance_credit' then ' (unused time)' else '' end
    || case
        -- a value of the same billing period is no older than the line
        when carried_from < billing_period_start and event_count = 0
            then ' (no data this period; last known value of '
                || strftime(timezone('UTC', carried_from), '%Y-%m-%d') || ')'
        else ''
    end as description,
    {{ calculation_text() }} as calculation
from named
