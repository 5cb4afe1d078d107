{{ config(materialized='ephemeral') }}
-- grain: posting of a payment, of what left again of it, of Stripe's fee, or of a wallet's movement
with
zone as (select * from {{ ref('billing_zone') }}),

received as materialized (
    select
        payments.*,
        payments.payment_id || ':' || payments.stripe_invoice_id as entry_id,
        timezone(zone.name, payments.paid_at)::date as posted_on
    from {{ all_months(source('collection', 'payments')) }} as payments
    cross join zone
),

lots as (
    select customer_id, currency, lot_id, any_value(kind) as kind
    from {{ all_months(ref('wallet_lots')) }}
    group by all
),

movements as materialized (
    select
        ledger.*,
        lots.kind as lot_kind,
        -- what is of a month's end belongs to that month
        least(timezone(zone.name, ledger.occurred_at)::date, last_day(ledger.billing_month))
            as posted_on
    from {{ all_months(ref('wallet_ledger')) }} as ledger
    cross join zone
    left join lots
        on
            ledger.customer_id = lots.customer_id
            and ledger.currency = lots.currency
            and ledger.lot_id = lots.lot_id
)

select
    billing_month, entry_id, posted_on, kind, customer_id, invoice_id,
    stripe_invoice_id as document_id, currency,
    case
        when method = 'wallet' then 'wallets_applied'
        when method = 'outside_stripe' then 'outside_stripe'
        else 'stripe'
    end as debit,
    case when kind = 'payment' then 'receivables' else 'refunds' end as credit,
    amount
from received
union all by name
select
    billing_month, entry_id || ':fee' as entry_id, posted_on, 'fee' as kind, customer_id, invoice_id,
    stripe_invoice_id as document_id, fee_currency as currency, 'payment_fees' as debit,
    'stripe' as credit, fee as amount
from received
where fee is not null
union all by name
select
    billing_month,
    'wallet:' || md5(concat_ws(
        '|', customer_id, currency, billing_month, kind, epoch_us(occurred_at), reference, lot_id
    )) as entry_id,
    posted_on,
    'wallet_' || kind as kind,
    customer_id,
    case when kind in ('invoice', 'payment', 'credit') then reference end as invoice_id,
    currency,
    case
        when kind in ('invoice', 'payment', 'credit') then 'wallets_applied'
        when kind = 'commitment' then 'prepaid_commitments'
        when kind = 'grant' or kind in ('refund', 'expiry') and lot_kind = 'grant' then 'grants'
        when kind = 'expiry' then 'wallet_expiry'
        else 'wallet_money'
    end as debit,
    'wallets' as credit,
    sum(amount) as amount
from movements
group by all
