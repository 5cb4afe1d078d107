{{ config(materialized='ephemeral') }}
-- grain: posting of what settles a Stripe document besides payments: the customer's balance when it
-- was issued, what its credit notes gave back of what was paid, and what was given up
with
zone as (select * from {{ ref('billing_zone') }}),

invoices as materialized (
    select
        held.*,
        zone.name as zone,
        held.stripe_invoice_id as document_id,
        held.stripe_invoice_id || ':balance' as entry_id,
        timezone(zone.name, held.finalized_at)::date as posted_on,
        -- a month that an earlier release has read has no such columns
        coalesce(
            held.settled_by_balance, held.total - held.credited - held.amount_paid - held.amount_remaining
        ) as by_balance,
        coalesce(held.wallet_at_finalize, held.wallet_applied) as by_wallet
    from {{ all_months(source('collection', 'stripe_invoices')) }} as held
    cross join zone
    where held.finalized_at is not null and held.status <> 'void'
),

notes as materialized (
    select
        notes.*,
        notes.credit_note_id as document_id,
        notes.credit_note_id || ':paid' as entry_id,
        timezone(invoices.zone, notes.issued_at)::date as posted_on,
        -- the last one has what credits gave back to the wallet
        case when row_number() over (
            partition by notes.stripe_invoice_id order by notes.issued_at desc, notes.credit_note_id desc
        ) = 1 then invoices.by_wallet - invoices.wallet_applied else 0 end as to_wallet
    from {{ all_months(source('collection', 'credit_notes')) }} as notes
    inner join invoices on notes.stripe_invoice_id = invoices.stripe_invoice_id
)

{%- for name, debit, credit, amount in [
    ('invoices', 'wallets_applied', 'receivables', 'by_wallet'),
    ('invoices', 'customer_credit', 'receivables', 'by_balance - by_wallet'),
    ('notes', 'receivables', 'wallets_applied', 'to_wallet'),
    ('notes', 'receivables', 'customer_credit', 'to_balance - to_wallet'),
    ('notes', 'receivables', 'refunds', 'refunded'),
    ('notes', 'receivables', 'outside_stripe', 'outside_stripe'),
] %}
select
    billing_month, entry_id, posted_on, 'balance' as kind, customer_id, invoice_id, document_id,
    currency, '{{ debit }}' as debit, '{{ credit }}' as credit, {{ amount }} as amount
from {{ name }}
union all by name
{%- endfor %}
select
    billing_month, document_id || ':given_up' as entry_id,
    timezone(zone, uncollectible_at)::date as posted_on, 'write_off' as kind, customer_id,
    invoice_id, document_id, currency, 'bad_debts' as debit, 'receivables' as credit,
    amount_remaining as amount
from invoices
where status = 'uncollectible'
