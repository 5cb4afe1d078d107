-- grain: our invoice, or a Stripe invoice with our marks that we do not know: what we charge, what
-- Stripe billed, and what came to the bank
select
    billing_month,
    invoice_id,
    null as stripe_invoice_id,
    customer_id,
    currency,
    expected_total,
    stripe_total,
    difference,
    by_balance,
    outstanding,
    paid,
    received,
    went_back,
    outside_stripe,
    from_wallet,
    through_stripe,
    case when is_booked then settlement_currency end as settlement_currency,
    case when is_booked then fees end::decimal(38, 4) as fees,
    case when is_booked then net end::decimal(38, 4) as net,
    case when is_booked then paid_out end::decimal(38, 4) as paid_out,
    case when is_booked then net - paid_out end::decimal(38, 4) as not_paid_out,
    payout_ids,
    last_payout_on,
    case
        when reconciled_as not in ('matched', 'adopted', 'written_off') then reconciled_as
        when received <> paid then 'payments_differ'
        when is_booked and settlement_currency = currency and net + fees <> through_stripe
            then 'balance_differs'
        when has_failed_payout then 'payout_failed'
        when outstanding > 0 then 'unpaid'
        when not is_booked then 'not_booked'
        when net <> paid_out then 'not_paid_out'
        else 'matched'
    end as state
from {{ ref('money_of_invoices') }}
union all by name
select
    billing_month,
    invoice_id,
    stripe_invoice_id,
    customer_id,
    currency,
    stripe_total,
    outstanding,
    paid,
    state
from {{ ref('invoices_unknown_to_us') }}
