select
    billing_month,
    customer_id,
    state,
    since,
    oldest_unpaid_due,
    outstanding,
    currency,
    reason
from {{ ref('standing_of_customers') }}
