with
posted as materialized (
    select
        accounting_month, account, currency,
        kind in ('invoice', 'supplement', 'credit_note') as is_document,
        kind = 'fee' as is_fee,
        case when account = 'customer_credit' then customer_id end as customer_id,
        sum(debit - credit) as amount
    from {{ all_months(ref('journal')) }}
    group by all
),

published as materialized (select * from {{ ref('checked_balances') }}),

months as (
    select accounting_month as billing_month, currency from posted
    union
    select billing_month, currency from published where billing_month is not null
),

balances as (
    select
        months.billing_month, accounts.checked, months.currency,
        coalesce(sum(posted.amount * accounts.sign), 0) as in_journal, 0 as published
    from months
    cross join (values ('deferred', -1), ('unbilled', 1)) as accounts (checked, sign)
    left join posted
        on
            accounts.checked = posted.account
            and months.currency = posted.currency
            and months.billing_month >= posted.accounting_month
    group by all
    union all by name
    select null as billing_month, 'receivables' as checked, currency, amount as in_journal
    from posted
    where account in ('receivables', 'bad_debts')
    union all by name
    select 'documents' as checked, currency, amount as in_journal
    from posted
    where account = 'receivables' and is_document
    union all by name
    select
        account as checked, currency,
        case when account in ('bad_debts', 'stripe', 'wallets_applied') then amount else -amount end
            as in_journal
    from posted
    where
        account in ('bad_debts', 'wallets', 'wallets_applied')
        or account = 'stripe' and not is_fee
        -- only of customers with a wallet is it read what their balance holds
        or (customer_id, currency) in (
            select (customer_id, currency)
            from {{ all_months(source('collection', 'wallet_reconciliation')) }}
            where problem is null
        )
    union all by name
    select billing_month, checked, currency, amount as published from published
),

summed as (
    select
        coalesce(billing_month, (select max(billing_month) from {{ all_months(ref('seller')) }}))
            as billing_month,
        checked, currency,
        coalesce(sum(in_journal), 0) as in_journal, coalesce(sum(published), 0) as published
    from balances
    where currency is not null
    group by all
)

select
    billing_month,
    checked,
    currency,
    in_journal::decimal(38, 12) as in_journal,
    published::decimal(38, 12) as published,
    (in_journal - published)::decimal(38, 12) as difference
from summed
