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
