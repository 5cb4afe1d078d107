{{ config(materialized='ephemeral') }}
-- grain: posting of a Stripe document: what it bills, what is earned of it, what the customer's
-- balance and its credit note settled, and what was given up
with
documents as (select * from {{ ref('posted_documents') }}),
parts as (select * from {{ all_months(ref('revenue_schedule')) }}),
invoices as (
    select
        held.*,
        documents.zone,
        documents.issued_on,
        -- a month that an earlier release has read has no such columns
        coalesce(
            held.settled_by_balance, held.total - held.credited - held.amount_paid - held.amount_remaining
        ) as by_balance,
        coalesce(held.wallet_at_finalize, held.wallet_applied) as by_wallet
    from {{ all_months(source('collection', 'stripe_invoices')) }} as held
    inner join documents on held.stripe_invoice_id = documents.document_id
),

notes as (
    select
        notes.*,
        documents.issued_on,
        row_number() over (
            partition by notes.stripe_invoice_id order by notes.issued_at desc, notes.credit_note_id desc
        ) as from_last
    from {{ all_months(source('collection', 'credit_notes')) }} as notes
    inner join documents on notes.credit_note_id = documents.document_id
),

issued as (
    select
        document_id, 'receivables' as debit,
        case when recognized_month < issued_month then 'unbilled' else 'deferred' end as credit,
        null as credit_detail, sum(amount) as amount
    from parts
    group by all
    union all
    select document_id, 'receivables', 'prepaid_commitments', null, sum(net)
    from {{ ref('revenue_lines') }}
    where account = 'prepaid_commitments'
    group by document_id
    union all
    select document_id, 'receivables', 'tax', tax_rate_id, tax
    from {{ ref('posted_taxes') }}
),

earned as (
    select
        document_id, recognized_month,
        case when recognized_month < issued_month then 'unbilled' else 'deferred' end as debit,
        account as credit, plan_id as credit_detail, sum(amount) as amount
    from parts
    group by all
)

select
    documents.billing_month, documents.document_id as entry_id, documents.issued_on as posted_on,
    documents.kind, documents.customer_id, documents.invoice_id, documents.document_id,
    documents.currency, issued.debit, null::varchar as debit_detail, issued.credit,
    issued.credit_detail, issued.amount
from documents
inner join issued on documents.document_id = issued.document_id
union all by name
select
    documents.billing_month,
    documents.document_id || strftime(earned.recognized_month, ':%Y-%m') as entry_id,
    last_day(earned.recognized_month) as posted_on, 'recognition' as kind, documents.customer_id,
    documents.invoice_id, documents.document_id, documents.currency, earned.debit, earned.credit,
    earned.credit_detail, earned.amount
from documents
inner join earned on documents.document_id = earned.document_id
{% for account, amount in [
    ('wallets_applied', 'by_wallet'), ('customer_credit', 'by_balance - by_wallet')
] %}
union all by name
select
    billing_month, stripe_invoice_id || ':balance' as entry_id, issued_on as posted_on,
    'balance' as kind, customer_id, invoice_id, stripe_invoice_id as document_id, currency,
    '{{ account }}' as debit, 'receivables' as credit, {{ amount }} as amount
from invoices
{% endfor %}
{%- for account, amount in [
    ('customer_credit', 'to_balance'), ('refunds', 'refunded'), ('outside_stripe', 'outside_stripe')
] %}
union all by name
select
    billing_month, credit_note_id || ':paid' as entry_id, issued_on as posted_on,
    'balance' as kind, customer_id, invoice_id, credit_note_id as document_id, currency,
    'receivables' as debit, '{{ account }}' as credit, {{ amount }} as amount
from notes
{% endfor %}
union all by name
-- what a credit gives back to the wallet
select
    invoices.billing_month, notes.credit_note_id || ':wallet' as entry_id,
    notes.issued_on as posted_on, 'balance' as kind, invoices.customer_id, invoices.invoice_id,
    notes.credit_note_id as document_id, invoices.currency, 'customer_credit' as debit,
    'wallets_applied' as credit, invoices.by_wallet - invoices.wallet_applied as amount
from invoices
inner join notes on invoices.stripe_invoice_id = notes.stripe_invoice_id and notes.from_last = 1
union all by name
select
    billing_month, stripe_invoice_id || ':given_up' as entry_id,
    timezone(zone, uncollectible_at)::date as posted_on, 'write_off' as kind, customer_id,
    invoice_id, stripe_invoice_id as document_id, currency, 'bad_debts' as debit,
    'receivables' as credit, amount_remaining as amount
from invoices
where status = 'uncollectible'
