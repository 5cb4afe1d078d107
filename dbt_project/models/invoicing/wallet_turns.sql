-- grain: customer × currency with a wallet; where among its events this month's invoice takes: at the
-- month's end, before anything expires then; where this or a later month of the wallet is billed, after
-- all of that; and where the wallet has paid an open invoice since then, after that
with
applications as (select * from {{ source('raw', 'wallet_applications') }}),
transactions as (select * from {{ ref('stg_accounts__wallet_transactions') }}),
months as (select * from {{ ref('stg_months') }}),
run as (select * from {{ ref('stg_run') }}),

wallets as (
    select customer_id, currency from transactions
    union
    select customer_id, currency from {{ ref('wallet_deposits') }}
    union
    select customer_id, currency from applications
),

billed as (
    select
        wallets.customer_id,
        wallets.currency,
        max(applications.billing_month) as after_month
    from wallets
    cross join run
    left join applications
        on
            run.billing_month <= applications.billing_month
            and wallets.customer_id = applications.customer_id
            and wallets.currency = applications.currency
    group by all
),

paid as (
    select customer_id, currency, max(occurred_at) as last_at
    from transactions
    where kind = 'payment'
    group by all
),

turns as (
    select
        billed.customer_id,
        billed.currency,
        billed.after_month,
        case when paid.last_at >= months.month_end then paid.last_at end as after_payment_at,
        months.month_end
    from billed
    cross join run
    inner join months on coalesce(billed.after_month, run.billing_month) = months.billing_month
    left join paid on billed.customer_id = paid.customer_id and billed.currency = paid.currency
)

select
    customer_id,
    currency,
    after_month,
    after_payment_at,
    coalesce(after_payment_at, month_end) as happens_at,
    {{ invoice_turn('turns') }} as turn
from turns
