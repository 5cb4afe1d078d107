-- grain: line before discounts and tax: a charge that is not 0, or the amount that raises a
-- subscription to its minimum
with
charges as (select * from {{ ref('charges') }}),
minimums as (select * from {{ ref('subscription_minimums') }}),
currencies as (select * from {{ source('raw', 'currencies') }}),
charged as (select * from {{ ref('charged_periods') }}),

compared as (
    select
        minimums.*,
        coalesce(charged.charged_amount, 0) as charged_amount,
        currencies.exponent
    from minimums
    inner join currencies on minimums.currency = currencies.currency
    left join charged
        on minimums.subscription_id = charged.subscription_id
        and minimums.subscription_number = charged.subscription_number
        and minimums.billing_period_start = charged.billing_period_start
        and minimums.billing_period_us = charged.billing_period_us
        and minimums.currency = charged.currency
),

true_ups as (
    select
        *,
        rounded_to_minor(
            minimum_units
            - case when charged_amount < 0 then -1 else 1 end * exact(abs(charged_amount)).units,
            exponent
        ) as amount
    from compared
)

select
    'li_' || left(md5(charge_id), 24) as line_id,
    customer_id, subscription_id, subscription_number, 'charge' as kind, charge_id, price_id,
    tax_code, description,
    quantity, amount, currency, period_start, period_end,
    -- for a refund: the end of the month whose invoice charged it in advance
    month_sold_until as unused_period_start
from charges
where amount <> 0
union all by name
select
    'li_' || left(md5(concat_ws(
        '|', 'minimum', subscription_id, currency, epoch_us(period_start)
    )), 24) as line_id,
    customer_id, subscription_id, subscription_number, 'minimum' as kind,
    'Minimum of ' || amounts_text || ' ' || currency || ': the rest' as description,
    1::decimal(38, 18) as quantity, amount, currency, period_start, period_end,
    concat_ws(
        '; ',
        calculation,
        'less ' || plain(charged_amount) || ' charged',
        {{ rounded_text('amount') }}
    ) as calculation
from true_ups
where amount > 0
