-- a tax that prices include informs and adds nothing
select
    invoice_lines.billing_month,
    invoice_lines.line_id,
    invoice_lines.invoice_id,
    invoice_lines.customer_id,
    invoice_lines.subscription_id,
    invoice_lines.kind,
    invoice_lines.charge_id,
    invoice_lines.description,
    invoice_lines.amount,
    invoice_lines.currency,
    invoice_lines.period_start,
    invoice_lines.period_end
from {{ all_months(ref('invoice_lines')) }} as invoice_lines
where not invoice_lines.is_inclusive
union all by name
select
    charges.billing_month,
    charges.customer_id,
    charges.subscription_id,
    'charge' as kind,
    charges.charge_id,
    charges.description,
    charges.amount,
    charges.currency,
    charges.period_start,
    charges.period_end
from {{ all_months(ref('charges')) }} as charges
inner join {{ all_months(ref('customers')) }} as customers
    on charges.customer_id = customers.customer_id
    and charges.billing_month = customers.billing_month
    and customers.is_payer
where charges.amount = 0
