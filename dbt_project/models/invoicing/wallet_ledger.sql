-- grain: wallet transaction of the month: top-ups, grants, refunds, expiries, and amounts that
-- invoices took
with
transactions as (select * from {{ ref('stg_accounts__wallet_transactions') }}),
applications as (select * from {{ source('raw', 'wallet_applications') }}),
invoices as (select * from {{ ref('invoices') }}),
run as (select * from {{ ref('stg_run') }}),

movements as (
    select
        customer_id, currency, occurred_at, kind, amount, coalesce(reference, transaction_id)
            as reference, transaction_id as movement_id
    from transactions
    union all by name
    select
        customer_id, currency,
        months.month_end as occurred_at,
        'invoice' as kind, -amount as amount, applications.billing_month::varchar as reference,
        'before' as movement_id
    from applications
    inner join {{ ref('stg_months') }} as months
        on applications.billing_month = months.billing_month
    cross join run
    where applications.billing_month < run.billing_month
    union all by name
    select
        invoices.customer_id, invoices.currency, run.month_end as occurred_at, 'invoice' as kind,
        -invoices.wallet_applied as amount, invoices.invoice_id as reference,
        'invoice' as movement_id
    from invoices
    cross join run
    where invoices.wallet_applied > 0
),

balanced as (
    select
        *,
        sum(amount) over (
            partition by customer_id, currency
            -- a month's invoice comes before transactions at the next month's first instant
            order by occurred_at, kind <> 'invoice', movement_id
            rows unbounded preceding
        ) as balance_after,
        row_number() over (
            partition by customer_id, currency order by occurred_at, kind <> 'invoice', movement_id
        ) as movement_number
    from movements
)

select
    run.billing_month,
    balanced.customer_id,
    balanced.currency,
    balanced.movement_number::bigint as movement_number,
    balanced.occurred_at,
    balanced.kind,
    balanced.amount::decimal(38, 12) as amount,
    balanced.balance_after::decimal(38, 12) as balance_after,
    balanced.reference
from balanced
cross join run
where
    (balanced.occurred_at >= run.month_start and balanced.occurred_at < run.month_end
        and balanced.kind <> 'invoice')
    or (balanced.kind = 'invoice' and balanced.occurred_at = run.month_end
        and balanced.movement_id = 'invoice')
