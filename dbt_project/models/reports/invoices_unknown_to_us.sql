{{ config(materialized='ephemeral', access='private') }}
-- grain: Stripe invoice with our marks, of a month that was never computed here, as of the month
-- that was read from Stripe last
select
    unknown.billing_month,
    unknown.invoice_id,
    unknown.stripe_invoice_id,
    unknown.customer_id,
    unknown.currency,
    unknown.total as stripe_total,
    unknown.amount_remaining as outstanding,
    unknown.amount_paid as paid,
    'unknown' as state
from {{ all_months(source('collection', 'unknown_invoices')) }} as unknown
where unknown.billing_month = (
    select arg_max(reads.billing_month, reads.read_at)
    from {{ all_months(source('collection', 'stripe_reads')) }} as reads
)
