-- the month after the newest one is charged once it is over: there is still time to ask for a card
select
    customers.billing_month,
    'payments' as part,
    'card_expires' as kind,
    customers.customer_id as subject,
    customers.customer_id,
    'the card that paid last expires on ' || strftime(cards.card_expires, '%Y-%m-%d') as reason
from {{ all_months(ref('customers')) }} as customers
inner join {{ ref('last_cards') }} as cards on customers.customer_id = cards.customer_id
where customers.billing_month = (select max(billing_month) from {{ all_months(ref('seller')) }})
    and customers.collection_method is distinct from 'send_invoice'
    and cards.card_expires < customers.billing_month + interval 2 month
