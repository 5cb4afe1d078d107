with
unpaid as (
    select
        payments.billing_month,
        payments.invoice_id,
        payments.customer_id,
        payments.currency,
        payments.status,
        payments.outstanding,
        due.due_date,
        greatest(current_date - due.due_date, 0) as days_overdue
    from {{ all_months(source('collection', 'invoice_payments')) }} as payments
    left join {{ ref('invoice_due_dates') }} as due on payments.invoice_id = due.invoice_id
    where payments.outstanding > 0
)

select
    billing_month,
    invoice_id,
    customer_id,
    currency,
    status,
    outstanding,
    due_date,
    days_overdue,
    case
        when days_overdue = 0 then 'not due'
        when days_overdue <= 30 then '1-30'
        when days_overdue <= 60 then '31-60'
        when days_overdue <= 90 then '61-90'
        else 'over 90'
    end as age
from unpaid
