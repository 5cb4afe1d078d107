{{ config(materialized='ephemeral') }}
-- grain: balance that other tables than the journal have × currency, of a month or, without one, as of
-- now
with
last_movements as (
    select currency, balance_after
    from {{ all_months(ref('wallet_ledger')) }}
    qualify row_number() over (
        partition by customer_id, currency order by billing_month desc, movement_number desc
    ) = 1
),

compared_wallets as (
    select currency, other_credit
    from {{ all_months(source('collection', 'wallet_reconciliation')) }}
    where problem is null
    qualify row_number() over (partition by customer_id, currency order by billing_month desc) = 1
),

earned as (
    select billing_month, currency, sum(deferred) as deferred, sum(unbilled) as unbilled
    from {{ all_months(ref('revenue_balances')) }}
    group by all
),

invoices as (
    select
        currency, sum(outstanding) as receivables, sum(billed - credited) as documents
    from {{ all_months(source('collection', 'invoice_payments')) }}
    group by currency
)

select * from (
    unpivot invoices on receivables, documents into name checked value amount
)
union all by name
select * from (unpivot earned on deferred, unbilled into name checked value amount)
union all by name
select 'bad_debts' as checked, currency, sum(amount_remaining) as amount
from {{ all_months(source('collection', 'stripe_invoices')) }}
where status = 'uncollectible'
group by currency
union all by name
select 'stripe' as checked, currency, sum(in_the_bank + less_fees) as amount
from {{ all_months(ref('revenue_bridge')) }}
group by currency
union all by name
select 'wallets' as checked, currency, sum(balance_after) as amount
from last_movements
group by currency
union all by name
select 'wallets_applied' as checked, currency, sum(stripe_wallet - expected_wallet) as amount
from {{ all_months(source('collection', 'reconciliation')) }}
group by currency
union all by name
select 'customer_credit' as checked, currency, sum(other_credit) as amount
from compared_wallets
group by currency
