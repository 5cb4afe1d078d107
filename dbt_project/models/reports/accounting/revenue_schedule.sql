-- By the day: a month's part is what its days are of all days of the service period, cut off to the
-- minor unit over all days so far, so that the last month has the rest.
with
lines as (select * from {{ ref('revenue_lines') }} where account <> 'prepaid_commitments'),

months as (
    select
        *,
        unnest(generate_series(
            date_trunc('month', first_day), date_trunc('month', end_day - 1), interval 1 month
        ))::date as recognized_month,
        (net * 1000)::hugeint // thousandths as minor_units,
        (end_day - first_day)::hugeint as days
    from lines
),

counted as (
    select
        *,
        greatest(recognized_month - first_day, 0)::hugeint as days_before,
        (least((recognized_month + interval 1 month)::date, end_day) - first_day)::hugeint as days_through
    from months
),

parts as (
    select
        *,
        (
            (minor_units * days_through // days - minor_units * days_before // days) * thousandths
        )::decimal(35, 0) * 0.001::decimal(4, 3) as amount
    from counted
)

select
    billing_month,
    recognized_month,
    issued_month,
    document_id,
    line_id,
    tax_rates,
    invoice_id,
    customer_id as payer_id,
    served_customer_id as customer_id,
    subscription_id,
    plan_id,
    price_id,
    meter_id,
    line_kind as kind,
    account,
    currency,
    first_day,
    end_day,
    (days_through - days_before)::integer as days,
    net::decimal(38, 4) as line_amount,
    amount::decimal(38, 4) as amount
from parts
where amount <> 0
