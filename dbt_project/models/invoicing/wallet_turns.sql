-- grain: customer × currency with a wallet; where among its events this month's invoice takes: at the
-- month's end, before anything expires then; or, where this or a later month of the wallet is billed,
-- after all of that
with
applications as (select * from {{ source('raw', 'wallet_applications') }}),
months as (select * from {{ ref('stg_months') }}),
run as (select * from {{ ref('stg_run') }}),

wallets as (
    select customer_id, currency from {{ ref('stg_accounts__wallet_transactions') }}
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
)

select
    billed.customer_id,
    billed.currency,
    billed.after_month,
    months.month_end as happens_at,
    case when billed.after_month is null then 0 else 2 end as turn
from billed
cross join run
inner join months on coalesce(billed.after_month, run.billing_month) = months.billing_month
