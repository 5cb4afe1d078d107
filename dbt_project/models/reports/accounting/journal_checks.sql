{% set newest = '(select max(billing_month) from ' ~ all_months(ref('seller')) ~ ')' %}
with
lines as (
    select *, debit - credit as amount from {{ all_months(ref('journal')) }}
),

last_movements as (
    select customer_id, currency, balance_after
    from {{ all_months(ref('wallet_ledger')) }}
    qualify row_number() over (
        partition by customer_id, currency order by billing_month desc, movement_number desc
    ) = 1
),

compared_wallets as (
    select customer_id, currency, other_credit
    from {{ all_months(source('collection', 'wallet_reconciliation')) }}
    qualify row_number() over (partition by customer_id, currency order by billing_month desc) = 1
),

sums as (
    select 'receivables' as checked, currency, amount as in_journal, 0 as published, {{ newest }} as billing_month
    from lines
    where account in ('receivables', 'bad_debts')
    union all by name
    select 'receivables' as checked, currency, outstanding as published
    from {{ all_months(source('collection', 'invoice_payments')) }}
    union all by name
    select 'bad_debts' as checked, currency, amount as in_journal
    from lines
    where account = 'bad_debts'
    union all by name
    select 'bad_debts' as checked, currency, amount_remaining as published
    from {{ all_months(source('collection', 'stripe_invoices')) }}
    where status = 'uncollectible'
    union all by name
    select 'documents' as checked, currency, amount as in_journal
    from lines
    where account = 'receivables' and kind in ('invoice', 'supplement', 'credit_note')
    union all by name
    select 'documents' as checked, currency, billed - credited as published
    from {{ all_months(source('collection', 'invoice_payments')) }}
    union all by name
    select 'stripe' as checked, currency, amount as in_journal
    from lines
    where account = 'stripe' and kind <> 'fee'
    union all by name
    select 'stripe' as checked, currency, in_the_bank + less_fees as published
    from {{ all_months(ref('revenue_bridge')) }}
    union all by name
    select 'wallets' as checked, currency, -amount as in_journal from lines where account = 'wallets'
    union all by name
    select 'wallets' as checked, currency, balance_after as published from last_movements
    union all by name
    select 'wallets_applied' as checked, currency, amount as in_journal
    from lines
    where account = 'wallets_applied'
    union all by name
    select 'wallets_applied' as checked, currency, stripe_wallet - expected_wallet as published
    from {{ all_months(source('collection', 'reconciliation')) }}
    union all by name
    select 'customer_credit' as checked, lines.currency, -lines.amount as in_journal
    from lines
    semi join compared_wallets using (customer_id, currency)
    where lines.account = 'customer_credit'
    union all by name
    select 'customer_credit' as checked, currency, other_credit as published from compared_wallets
    {%- for account, sign in [('deferred', '-'), ('unbilled', '')] %}
    union all by name
    select billing_month, '{{ account }}' as checked, currency, {{ sign }}balance as in_journal
    from {{ all_months(ref('trial_balance')) }}
    where account = '{{ account }}'
    union all by name
    select billing_month, '{{ account }}' as checked, currency, {{ account }} as published
    from {{ all_months(ref('revenue_balances')) }}
    {%- endfor %}
),

months as (
    select * replace (coalesce(billing_month, {{ newest }}) as billing_month)
    from sums
)

select
    billing_month,
    checked,
    currency,
    coalesce(sum(in_journal), 0)::decimal(38, 12) as in_journal,
    coalesce(sum(published), 0)::decimal(38, 12) as published,
    (coalesce(sum(in_journal), 0) - coalesce(sum(published), 0))::decimal(38, 12) as difference
from months
where currency is not null
group by billing_month, checked, currency
