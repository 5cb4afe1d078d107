select
    billing_month,
    customer_id,
    paid_at,
    card_expires
from {{ ref('last_cards') }}
