select
    billing_month,
    recognized_month,
    issued_month,
    document_id,
    line_id,
    tax_rates,
    invoice_id,
    payer_id,
    customer_id,
    subscription_id,
    plan_id,
    price_id,
    meter_id,
    kind,
    account,
    currency,
    first_day,
    end_day,
    (days_through - days_before)::integer as days,
    net::decimal(38, 4) as line_amount,
    amount::decimal(38, 4) as amount
from {{ ref('posted_parts') }}
where is_revenue and amount <> 0
