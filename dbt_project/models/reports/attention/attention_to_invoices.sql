with
computed as (select * from {{ all_months(ref('invoices')) }}),
held as (select * from {{ all_months(source('collection', 'invoice_payments')) }}),
reconciled as (select * from {{ all_months(source('collection', 'reconciliation')) }})

select
    invoices.billing_month,
    'invoices' as part,
    'lines_do_not_add_up' as kind,
    invoices.invoice_id as subject,
    invoices.customer_id,
    invoices.invoice_id,
    invoices.currency,
    (sum(lines.amount) - invoices.total)::decimal(38, 4) as amount,
    'the lines less the total' as reason
from computed as invoices
inner join {{ all_months(ref('invoice_lines')) }} as lines on invoices.invoice_id = lines.invoice_id
where not lines.is_inclusive
group by
    invoices.billing_month,
    invoices.invoice_id,
    invoices.customer_id,
    invoices.currency,
    invoices.total
having sum(lines.amount) <> invoices.total
union all by name
-- not from `reconciliation`: that is of the last time that Stripe was read, and a preview since then
-- may have computed the month anew
select
    invoices.billing_month,
    'invoices' as part,
    'not_billed' as kind,
    invoices.invoice_id as subject,
    invoices.customer_id,
    invoices.invoice_id,
    invoices.currency,
    invoices.total as amount,
    coalesce(held.status, 'not sent') as reason
from computed as invoices
left join held on invoices.invoice_id = held.invoice_id
anti join (
    select invoice_id from reconciled where state in ('adopted', 'written_off')
    union all
    select invoice_id from {{ all_months(source('collection', 'invoice_plan')) }}
    where state = 'declined'
) as decided on invoices.invoice_id = decided.invoice_id
where held.status = 'draft' or held.billed - held.credited is distinct from invoices.total
union all by name
select
    billing_month,
    'plan' as part,
    'change_' || state as kind,
    invoice_id as subject,
    customer_id,
    invoice_id,
    revision,
    plan_hash,
    currency,
    (amount_after - amount_before)::decimal(38, 4) as amount,
    reason
from {{ all_months(source('collection', 'invoice_plan')) }}
where state in ('waiting', 'failed')
union all by name
select
    billing_month,
    'drift' as part,
    'month_drift' as kind,
    currency as subject,
    currency,
    difference as amount,
    customers as items,
    'billed ' || {{ short_amount('billed') }} || ' ' || currency || ', today it would be '
        || {{ short_amount('would_be') }} || ' (' || cause || '): billing plan '
        || strftime(billing_month, '%Y-%m') as reason
from {{ all_months(source('collection', 'month_drift')) }}
