-- what Stripe holds as unpaid, of every month: the payer's, whoever the lines are for
with
documents as (select * from {{ all_months(source('collection', 'stripe_invoices')) }}),
payments as (select * from {{ all_months(source('collection', 'invoice_payments')) }})

select
    documents.customer_id as payer_id,
    documents.currency,
    documents.amount_remaining,
    documents.status = 'uncollectible' as is_given_up,
    documents.uncollectible_at,
    coalesce(documents.number, documents.stripe_invoice_id) as number,
    coalesce(documents.due_at, documents.finalized_at) as due_at,
    -- a bank debit takes days: the customer has done their part
    coalesce(payments.payment_state = 'processing', false) as is_under_way
from documents
left join payments on documents.invoice_id = payments.invoice_id
where documents.status in ('open', 'uncollectible') and documents.amount_remaining > 0
