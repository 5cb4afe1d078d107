select
    billing_month,
    customer_id,
    plan_id,
    price_id,
    meter_id,
    currency,
    sum(quantity)::decimal(38, 18) as quantity,
    sum(amount)::decimal(38, 4) as amount
from {{ all_months(ref('charges')) }}
group by all
