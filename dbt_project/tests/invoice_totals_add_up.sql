{{ config(meta={'dagster': {'ref': {'name': 'invoices'}}}) }}
-- lines sum to subtotal; subtotal - discount + tax = total; total - wallet = due, and 0 below it
with
line_sums as (
    select
        invoice_id,
        coalesce(sum(amount) filter (where kind not in ('discount', 'tax')), 0) as subtotal,
        coalesce(-sum(amount) filter (where kind = 'discount'), 0) as discount,
        coalesce(sum(amount) filter (where kind = 'tax' and not is_inclusive), 0) as tax,
        count(*) as line_count
    from {{ ref('invoice_lines') }}
    group by invoice_id
)

select invoices.invoice_id
from {{ ref('invoices') }} as invoices
left join line_sums on invoices.invoice_id = line_sums.invoice_id
where
    line_sums.subtotal is distinct from invoices.subtotal
    or line_sums.discount is distinct from invoices.discount
    or line_sums.tax is distinct from invoices.tax
    or line_sums.line_count is distinct from invoices.line_count
    or invoices.subtotal - invoices.discount + invoices.tax <> invoices.total
    or greatest(invoices.total - invoices.wallet_applied, 0) <> invoices.amount_due
    or invoices.wallet_applied < 0
