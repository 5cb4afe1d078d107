select
    max_by(billing_month, paid_at) as billing_month,
    customer_id,
    max(paid_at) as paid_at,
    max_by(card_expires, paid_at) as card_expires
from {{ all_months(source('collection', 'payments')) }}
where kind = 'payment' and method not in ('wallet', 'outside_stripe')
group by customer_id
having max_by(method, paid_at) = 'card'
