-- grain: Stripe document × line that it bills × tax rate: the line's part of the document's tax
with
documents as (
    select * from {{ ref('issued_documents') }} where version_before is not null
),

taxes as (select * from {{ all_months(source('as_billed', 'line_taxes_as_billed')) }}),

signed as (
    select documents.document_id, documents.currency, 1 as sign, taxes.*
    from documents
    inner join taxes
        on documents.invoice_id = taxes.invoice_id and documents.version = taxes.version
    union all
    select documents.document_id, documents.currency, -1 as sign, taxes.*
    from documents
    inner join taxes
        on documents.invoice_id = taxes.invoice_id and documents.version_before = taxes.version
)

select
    any_value(billing_month) as billing_month,
    document_id,
    any_value(invoice_id) as invoice_id,
    line_id,
    tax_rate_id,
    percentage,
    is_inclusive,
    sum(sign * tax_base)::decimal(38, 4) as tax_base,
    sum(sign * tax_amount)::decimal(38, 4) as tax_amount,
    any_value(currency) as currency
from signed
group by document_id, line_id, tax_rate_id, percentage, is_inclusive
having sum(sign * tax_base) <> 0 or sum(sign * tax_amount) <> 0
