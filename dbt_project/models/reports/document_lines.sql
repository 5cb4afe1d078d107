-- grain: Stripe document × line that it bills × tax rates on it: of a supplement or a credit note,
-- how the line changed. Taxes are lines of their own
with
signed as (select * from {{ ref('signed_lines') }})

select
    any_value(billing_month) as billing_month,
    document_id,
    any_value(invoice_id) as invoice_id,
    line_id,
    tax_rates,
    bool_and(sign > 0) as is_whole,
    {% for column in [
        'customer_id', 'subscription_id', 'plan_id', 'price_id', 'meter_id', 'charge_model', 'kind',
        'charge_id', 'coupon_id', 'commitment_id', 'tax_rate_id', 'is_inclusive', 'position',
        'description', 'period_start', 'period_end', 'calculation', 'unit_amount',
    ] %}
    arg_max({{ column }}, sign) as {{ column }},
    {% endfor %}
    sum(sign * quantity)::decimal(38, 18) as quantity,
    sum(sign * billable_quantity)::decimal(38, 18) as billable_quantity,
    sum(sign * amount)::decimal(38, 4) as amount,
    sum(sign * discount_share)::decimal(38, 4) as discount_share,
    any_value(currency) as currency
from signed
group by document_id, line_id, tax_rates
having sum(sign * amount) <> 0 or sum(sign * discount_share) <> 0
