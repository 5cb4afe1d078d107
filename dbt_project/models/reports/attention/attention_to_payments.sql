with
payments as (select * from {{ all_months(source('collection', 'invoice_payments')) }})

select
    billing_month,
    'payments' as part,
    'payment_failed' as kind,
    invoice_id as subject,
    customer_id,
    invoice_id,
    currency,
    outstanding as amount,
    last_error as reason
from payments
where status in ('open', 'overdue') and last_error is not null
union all by name
select
    billing_month,
    'payments' as part,
    'overdue' as kind,
    invoice_id as subject,
    customer_id,
    invoice_id,
    currency,
    outstanding as amount,
    last_error as reason
from payments
where status = 'overdue'
union all by name
select
    billing_month,
    'payments' as part,
    'uncollectible' as kind,
    coalesce(number, invoice_id) as subject,
    customer_id,
    invoice_id,
    revision,
    currency,
    amount_remaining as amount,
    'given up in Stripe' as reason
from {{ all_months(source('collection', 'stripe_invoices')) }}
where status = 'uncollectible'
union all by name
select
    billing_month,
    'payments' as part,
    'customer_suspended' as kind,
    customer_id as subject,
    customer_id,
    currency,
    outstanding as amount,
    reason
from {{ ref('standing_of_customers') }}
where state = 'suspended'
union all by name
-- one that could not be read in Stripe has no difference
select
    billing_month,
    'wallets' as part,
    'wallet_differs_from_stripe' as kind,
    concat_ws(' ', customer_id, currency) as subject,
    customer_id,
    currency,
    difference as amount,
    coalesce(problem, 'the balance in Stripe less ours') as reason
from {{ all_months(source('collection', 'wallet_reconciliation')) }}
where difference is distinct from 0
