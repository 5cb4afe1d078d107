select
    billing_month,
    invoice_id,
    due_at,
    due_date
from {{ ref('invoice_due_dates') }}
