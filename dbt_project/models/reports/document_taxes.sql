-- grain: Stripe document × line that it bills × tax rates on it × one of these rates: the line's
-- part of the document's tax
with
signed as (
    select document_id, invoice_id, version, line_id, sign, tax_rates, currency
    from {{ ref('signed_lines') }}
),

taxes as (select * from {{ all_months(source('as_billed', 'line_taxes_as_billed')) }})

select
    any_value(taxes.billing_month) as billing_month,
    signed.document_id,
    any_value(signed.invoice_id) as invoice_id,
    signed.line_id,
    signed.tax_rates,
    taxes.tax_rate_id,
    any_value(taxes.percentage) as percentage,
    any_value(taxes.is_inclusive) as is_inclusive,
    sum(signed.sign * taxes.tax_base)::decimal(38, 4) as tax_base,
    sum(signed.sign * taxes.tax_amount)::decimal(38, 4) as tax_amount,
    any_value(signed.currency) as currency
from signed
inner join taxes
    on signed.invoice_id = taxes.invoice_id
    and signed.version = taxes.version
    and signed.line_id = taxes.line_id
group by signed.document_id, signed.line_id, signed.tax_rates, taxes.tax_rate_id
having sum(signed.sign * taxes.tax_base) <> 0 or sum(signed.sign * taxes.tax_amount) <> 0
