-- grain: customer × currency with a wallet; where among its events this month's invoice takes: at the
-- month's end, before anything expires then; or, where it or a later month is billed, after all of that
with
applications as (select * from {{ source('raw', 'wallet_applications') }}),
months as (select * from {{ ref('stg_months') }}),
run as (select * from {{ ref('stg_run') }}),

wallets as (
    select customer_id, currency from {{ ref('stg_accounts__wallet_transactions') }}
    union
    select customer_id, currency from applications
)

select
    wallets.customer_id,
    wallets.currency,
    coalesce(max(months.month_end), max(run.month_end)) as happens_at,
    case when count(months.billing_month) > 0 then 2 else 0 end as turn
from wallets
cross join run
left join applications
    on
        wallets.customer_id = applications.customer_id
        and wallets.currency = applications.currency
        and run.billing_month <= applications.billing_month
left join months on applications.billing_month = months.billing_month
group by all
