-- grain: month × currency: from what was billed in Stripe to what came to the bank
with
collected as (
    select
        billing_month,
        currency,
        sum(billed) as billed,
        sum(credited) as less_credited,
        sum(settled_by_balance) as less_by_balance,
        sum(paid) as paid,
        sum(outstanding) as outstanding
    from {{ all_months(source('collection', 'invoice_payments')) }}
    group by billing_month, currency
),

received as (
    select
        billing_month,
        currency,
        -sum(amount) filter (where kind <> 'payment') as less_went_back,
        sum(amount) filter (where method = 'outside_stripe') as less_outside_stripe,
        sum(amount) filter (where method = 'wallet') as less_from_wallets,
        sum(fee) filter (where fee_currency = currency) as less_fees
    from {{ all_months(source('collection', 'payments')) }}
    group by billing_month, currency
)

select
    collected.billing_month,
    collected.currency,
    collected.billed,
    collected.less_credited,
    -- a credit note on what was paid: it is in `paid` and in `less_credited`
    collected.less_credited + collected.less_by_balance + collected.paid + collected.outstanding
    - collected.billed as credited_after_payment,
    collected.less_by_balance,
    collected.outstanding,
    collected.paid,
    coalesce(received.less_went_back, 0) as less_went_back,
    coalesce(received.less_outside_stripe, 0) as less_outside_stripe,
    coalesce(received.less_from_wallets, 0) as less_from_wallets,
    coalesce(received.less_fees, 0) as less_fees,
    collected.paid - coalesce(received.less_went_back, 0)
    - coalesce(received.less_outside_stripe, 0) - coalesce(received.less_from_wallets, 0)
    - coalesce(received.less_fees, 0) as in_the_bank
from collected
left join received
    on collected.billing_month = received.billing_month and collected.currency = received.currency
