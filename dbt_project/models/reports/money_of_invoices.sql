{{ config(materialized='ephemeral', access='private') }}
-- grain: our invoice, with what Stripe billed and collected of it and what came to the bank
select
    reconciled.billing_month,
    reconciled.invoice_id,
    reconciled.customer_id,
    reconciled.currency,
    reconciled.expected_total,
    reconciled.stripe_total,
    reconciled.difference,
    reconciled.state as reconciled_as,
    coalesce(held.settled_by_balance, 0) as by_balance,
    coalesce(held.outstanding, 0) as outstanding,
    coalesce(held.paid, 0) as paid,
    coalesce(received.received, 0) as received,
    coalesce(received.went_back, 0) as went_back,
    coalesce(received.outside_stripe, 0) as outside_stripe,
    coalesce(received.from_wallet, 0) as from_wallet,
    coalesce(received.through_stripe, 0) as through_stripe,
    -- sums over several currencies would say nothing, and those of a part nothing for certain
    coalesce(received.not_booked, 0) = 0 and coalesce(received.settlements, 0) <= 1 as is_booked,
    received.settlement_currency,
    coalesce(received.fees, 0) as fees,
    coalesce(received.net, 0) as net,
    coalesce(received.paid_out, 0) as paid_out,
    coalesce(received.has_failed_payout, false) as has_failed_payout,
    received.payout_ids,
    received.last_payout_on
from {{ all_months(source('collection', 'reconciliation')) }} as reconciled
left join {{ all_months(source('collection', 'invoice_payments')) }} as held
    on reconciled.billing_month = held.billing_month and reconciled.invoice_id = held.invoice_id
left join {{ ref('received_by_invoice') }} as received
    on reconciled.billing_month = received.billing_month
        and reconciled.invoice_id = received.invoice_id
