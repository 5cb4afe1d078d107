{{ config(materialized='ephemeral') }}
-- grain: Stripe document, with the version of its invoice that it brings about: 0 where nothing is
-- due any more, empty where that was not recorded. An amount is below 0 of a credit note
with
invoices as (
    select * from {{ all_months(source('collection', 'stripe_invoices')) }}
    where finalized_at is not null
),

notes as (select * from {{ all_months(source('collection', 'credit_notes')) }}),

held as (
    select
        billing_month, invoice_id, customer_id, currency, stripe_invoice_id as document_id,
        revision, null::integer as credit_number, number, finalized_at as issued_at,
        total as amount, amount_due, due_at, status, null::varchar as corrects_id
    from invoices
    union all by name
    select
        notes.billing_month, notes.invoice_id, notes.customer_id, notes.currency,
        notes.credit_note_id as document_id, invoices.revision,
        -- no credit note of ours has the number 0: so one that is not ours has no version
        coalesce(notes.credit_number, 0) as credit_number, notes.number, notes.issued_at,
        -notes.amount as amount, -notes.amount as amount_due, 'issued' as status,
        notes.stripe_invoice_id as corrects_id
    from notes
    inner join invoices on notes.stripe_invoice_id = invoices.stripe_invoice_id
),

sent as (
    -- what was sent again after a failure counts
    select * from {{ all_months(source('as_billed', 'documents_as_billed')) }}
    qualify row_number() over (
        partition by invoice_id, revision, credit_number order by kept_at desc
    ) = 1
)

select
    held.*,
    case when sent.invoice_id is not null then coalesce(sent.version, 0) end as version,
    row_number() over (
        partition by held.invoice_id
        order by held.issued_at asc, held.revision desc, held.credit_number asc, held.document_id asc
    ) as position
from held
left join sent
    on held.invoice_id = sent.invoice_id
    and held.revision = sent.revision
    and held.credit_number is not distinct from sent.credit_number
