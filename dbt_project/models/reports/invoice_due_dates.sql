-- the due date is Stripe's once the invoice was sent: a month may be closed late, and supplements
-- follow later
with
computed as (select * from {{ all_months(ref('invoices')) }}),
sellers as (select * from {{ all_months(ref('seller')) }}),

sent as (
    select
        billing_month,
        invoice_id,
        -- Stripe gives no due date to what it charges automatically: that is due when finalized
        coalesce(
            min(coalesce(due_at, finalized_at)) filter (where amount_remaining > 0),
            min_by(coalesce(due_at, finalized_at), revision)
        ) as due_at
    from {{ all_months(source('collection', 'stripe_invoices')) }}
    where status not in ('draft', 'void')
    group by billing_month, invoice_id
)

select
    coalesce(computed.billing_month, sent.billing_month) as billing_month,
    coalesce(computed.invoice_id, sent.invoice_id) as invoice_id,
    sent.due_at,
    coalesce(
        timezone(coalesce(sellers.timezone, 'UTC'), sent.due_at)::date,
        computed.due_date
    ) as due_date
from computed
full outer join sent on computed.invoice_id = sent.invoice_id
left join sellers
    on sellers.billing_month = coalesce(computed.billing_month, sent.billing_month)
