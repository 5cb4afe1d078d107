{{ config(materialized='ephemeral') }}
-- grain: posting of what settles a Stripe document besides payments: the customer's balance when it
-- was issued, what its credit notes gave back of what was paid, and what was given up
with
zone as (
    select coalesce(max_by(timezone, billing_month), 'UTC') as name
    from {{ all_months(ref('seller')) }}
),

invoices as materialized (
    select
        held.*,
        zone.name as zone,
        timezone(zone.name, held.finalized_at)::date as issued_on,
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
        timezone(invoices.zone, notes.issued_at)::date as noted_on,
        -- the last one has what credits gave back to the wallet
        case when row_number() over (
            partition by notes.stripe_invoice_id order by notes.issued_at desc, notes.credit_note_id desc
        ) = 1 then invoices.by_wallet - invoices.wallet_applied else 0 end as to_wallet
    from {{ all_months(source('collection', 'credit_notes')) }} as notes
    inner join invoices on notes.stripe_invoice_id = invoices.stripe_invoice_id
)

{%- for account, amount in [
    ('wallets_applied', 'by_wallet'), ('customer_credit', 'by_balance - by_wallet')
] %}
select
    billing_month, stripe_invoice_id || ':balance' as entry_id, issued_on as posted_on,
    'balance' as kind, customer_id, invoice_id, stripe_invoice_id as document_id, currency,
    '{{ account }}' as debit, 'receivables' as credit, {{ amount }} as amount
from invoices
union all by name
{%- endfor %}
{%- for account, amount in [
    ('wallets_applied', 'to_wallet'), ('customer_credit', 'to_balance - to_wallet'),
    ('refunds', 'refunded'), ('outside_stripe', 'outside_stripe')
] %}
select
    billing_month, credit_note_id || ':paid' as entry_id, noted_on as posted_on,
    'balance' as kind, customer_id, invoice_id, credit_note_id as document_id, currency,
    'receivables' as debit, '{{ account }}' as credit, {{ amount }} as amount
from notes
union all by name
{%- endfor %}
select
    billing_month, stripe_invoice_id || ':given_up' as entry_id,
    timezone(zone, uncollectible_at)::date as posted_on, 'write_off' as kind, customer_id,
    invoice_id, stripe_invoice_id as document_id, currency, 'bad_debts' as debit,
    'receivables' as credit, amount_remaining as amount
from invoices
where status = 'uncollectible'
