-- what went back to customers otherwise than by a credit note, and credit notes that are not ours:
-- the books do not know of it
with
returned as (
    select
        billing_month,
        invoice_id,
        customer_id,
        currency,
        -sum(amount) as amount,
        bool_or(kind = 'dispute' and status <> 'won') as is_disputed,
        string_agg(distinct kind || ' ' || status, ', ' order by kind || ' ' || status) as what
    from {{ all_months(source('collection', 'payments')) }}
    where kind <> 'payment'
    group by billing_month, invoice_id, customer_id, currency
)

select
    returned.billing_month,
    'payments' as part,
    case when returned.is_disputed then 'disputed' else 'refunded' end as kind,
    returned.invoice_id as subject,
    returned.customer_id,
    returned.invoice_id,
    returned.currency,
    (returned.amount - coalesce(held.credited, 0))::decimal(38, 4) as amount,
    'went back to the customer without a credit note (' || returned.what || ')' as reason
from returned
left join {{ all_months(source('collection', 'invoice_payments')) }} as held
    on returned.invoice_id = held.invoice_id
where returned.amount > coalesce(held.credited, 0)
union all by name
select
    notes.billing_month,
    'payments' as part,
    'credited_by_hand' as kind,
    coalesce(notes.number, notes.credit_note_id) as subject,
    notes.customer_id,
    notes.invoice_id,
    notes.currency,
    notes.amount,
    'the credit note ' || coalesce(notes.number, notes.credit_note_id) || ' was made in Stripe, and '
        || 'nothing was computed for it: billing resolve ' || notes.invoice_id || ' --adopt'
        as reason
from {{ all_months(source('collection', 'credit_notes')) }} as notes
-- once a person has decided, or the computed amount came down as well, the books know of it
inner join {{ all_months(source('collection', 'reconciliation')) }} as reconciled
    on notes.invoice_id = reconciled.invoice_id
        and reconciled.state not in ('matched', 'adopted', 'written_off')
where notes.credit_number is null
