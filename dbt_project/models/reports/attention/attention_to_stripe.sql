select
    billing_month,
    'Stripe' as part,
    'stripe_' || state as kind,
    invoice_id as subject,
    customer_id,
    invoice_id,
    currency,
    -- where the total is right, what the customer was asked to pay beyond what is due
    (case state when 'charge_differs' then charged - expected_due else difference end)::decimal(38, 4)
        as amount,
    case state
        when 'charge_differs'
            then 'due ' || {{ short_amount('expected_due') }} || ', asked of the customer '
                || {{ short_amount('charged') }} || ': something else was on the balance in Stripe'
        when 'wallet_differs'
            then 'the wallet should pay ' || {{ short_amount('expected_wallet') }} || ', and paid '
                || {{ short_amount('stripe_wallet') }}
        else 'expected ' || {{ short_amount('expected_total') }} || ', in Stripe '
            || {{ short_amount('stripe_total') }}
    end as reason
from {{ all_months(source('collection', 'reconciliation')) }}
where
    state not in ('matched', 'adopted', 'written_off')
    -- a person has declined to bill the difference
    and invoice_id not in (
        select invoice_id from {{ all_months(source('collection', 'invoice_plan')) }}
        where state = 'declined'
    )
union all by name
select
    billing_month,
    'Stripe' as part,
    'stripe_unknown' as kind,
    stripe_invoice_id as subject,
    customer_id,
    invoice_id,
    currency,
    stripe_total as amount,
    'Stripe has it with our marks, and nothing here knows it' as reason
from {{ ref('invoices_unknown_to_us') }}
union all by name
select
    received.billing_month,
    'Stripe' as part,
    'stripe_payout_failed' as kind,
    received.invoice_id as subject,
    held.customer_id,
    received.invoice_id,
    held.currency,
    received.through_stripe::decimal(38, 4) as amount,
    'its money did not reach the bank, a payout failed: ' || received.payout_ids as reason
from {{ ref('received_by_invoice') }} as received
inner join {{ all_months(source('collection', 'invoice_payments')) }} as held
    on received.billing_month = held.billing_month and received.invoice_id = held.invoice_id
where received.has_failed_payout
