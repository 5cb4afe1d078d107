-- what went back to customers otherwise than by a credit note: the books do not know of it
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
