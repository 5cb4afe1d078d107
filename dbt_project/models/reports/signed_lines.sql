{{ config(materialized='ephemeral') }}
-- grain: Stripe document × line of one of the two versions whose difference it bills: sign is 1 in
-- the later one and -1 in the earlier one
with
documents as (
    select * from {{ ref('issued_documents') }} where version_before is not null
),

sides as (
    select document_id, invoice_id, version, 1 as sign from documents
    union all
    select document_id, invoice_id, version_before as version, -1 as sign from documents
),

taxes as (
    select
        invoice_id,
        version,
        line_id,
        string_agg(
            concat_ws(' ', tax_rate_id, percentage::varchar, case when is_inclusive then 'included' end),
            '; ' order by tax_rate_id
        ) as tax_rates
    from {{ all_months(source('as_billed', 'line_taxes_as_billed')) }}
    group by all
)

select
    sides.document_id,
    sides.sign,
    lines.*,
    coalesce(taxes.tax_rates, '') as tax_rates
from sides
inner join {{ all_months(source('as_billed', 'lines_as_billed')) }} as lines
    on sides.invoice_id = lines.invoice_id and sides.version = lines.version
left join taxes
    on lines.invoice_id = taxes.invoice_id
    and lines.version = taxes.version
    and lines.line_id = taxes.line_id
