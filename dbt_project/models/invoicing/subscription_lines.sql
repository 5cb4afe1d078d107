{{ config(materialized='view') }}
-- grain: line before discounts and tax: a charge that is not 0, or the amount that raises a
-- subscription to its minimum
with
charges as (select * from {{ ref('charges') }}),
periods as (select * from {{ ref('billing_periods') }}),
currencies as (select * from {{ source('raw', 'currencies') }}),
run as (select * from {{ ref('stg_run') }}),

charged as (
    select subscription_id, billing_period_start, currency, sum(amount) as charged_amount
    from charges
    group by all
),

minimums as (
    select
        periods.customer_id,
        periods.subscription_id,
        periods.customer_currency as currency,
        currencies.exponent,
        greatest(
            periods.period_start, periods.starts_at,
            coalesce(periods.trial_ends_at, periods.starts_at)
        ) as period_start,
        least(periods.period_end, coalesce(periods.ends_at, periods.period_end)) as period_end,
        periods.period_us,
        periods.minimum_amount,
        coalesce(charged.charged_amount, 0) as charged_amount
    from periods
    inner join currencies on periods.customer_currency = currencies.currency
    left join charged
        on periods.subscription_id = charged.subscription_id
        and periods.period_start = charged.billing_period_start
        and periods.customer_currency = charged.currency
    where periods.minimum_amount is not null
),

true_ups as (
    select
        *,
        epoch_us(period_end) - epoch_us(period_start) as part_us,
        rounded_to_minor(
            exact_share(exact(minimum_amount), part_us, period_us).units
            - case when charged_amount < 0 then -1 else 1 end * exact(abs(charged_amount)).units,
            exponent
        ) as amount
    from minimums
    where period_start < period_end
)

select
    'li_' || left(md5(charge_id), 24) as line_id,
    customer_id, subscription_id, 'charge' as kind, charge_id, price_id, tax_code, description,
    quantity, amount, currency, period_start, period_end,
    -- for a refund: the period that was charged in advance
    case when kind = 'advance_credit' then billing_period_start end as unused_period_start
from charges
where amount <> 0
union all by name
select
    'li_' || left(md5(concat_ws(
        '|', 'minimum', subscription_id, currency, epoch_us(period_start)
    )), 24) as line_id,
    customer_id, subscription_id, 'minimum' as kind,
    'Minimum of ' || plain(minimum_amount) || ' ' || currency || ': the rest' as description,
    1::decimal(38, 18) as quantity, amount, currency, period_start, period_end,
    concat_ws(
        '; ',
        'minimum ' || plain(minimum_amount),
        case when part_us < period_us then {{ share_text('part_us', 'period_us') }} end,
        'less ' || plain(charged_amount) || ' charged',
        {{ rounded_text('amount') }}
    ) as calculation
from true_ups
where amount > 0
