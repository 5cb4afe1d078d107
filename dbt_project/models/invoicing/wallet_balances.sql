-- grain: customer × currency with a wallet: the amount that this month's invoices have already
-- taken, and the amount still available to them

-- An amount that an invoice of any month took is never given to another one, so that a rerun finds
-- the billed amounts and nothing is spent twice.
with
transactions as (select * from {{ ref('stg_accounts__wallet_transactions') }}),
applications as (select * from {{ source('raw', 'wallet_applications') }}),
run as (select * from {{ ref('stg_run') }}),

-- this month, and the later months in which an invoice took money from this wallet; in other later
-- months money that left the wallet does not concern this month
wallet_months as (
    select transactions.customer_id, transactions.currency, run.billing_month
    from transactions
    cross join run
    union
    select applications.customer_id, applications.currency, applications.billing_month
    from applications
    inner join run on applications.billing_month > run.billing_month
),

horizons as (
    select wallet_months.*, months.month_end as horizon
    from wallet_months
    inner join {{ ref('stg_months') }} as months
        on wallet_months.billing_month = months.billing_month
),

at_horizon as (
    select
        horizons.customer_id,
        horizons.currency,
        horizons.billing_month,
        coalesce((
            select sum(transactions.amount) from transactions
            where
                transactions.customer_id = horizons.customer_id
                and transactions.currency = horizons.currency
                and transactions.occurred_at < horizons.horizon
        ), 0)
        - coalesce((
            select sum(applications.amount) from applications
            where
                applications.customer_id = horizons.customer_id
                and applications.currency = horizons.currency
                and applications.billing_month <= horizons.billing_month
        ), 0) as balance
    from horizons
),

available as (
    select customer_id, currency, greatest(min(balance), 0) as available_amount
    from at_horizon
    group by all
),

of_this_month as (
    select applications.customer_id, applications.currency, applications.amount,
        applications.billed_amount
    from applications
    inner join run on applications.billing_month = run.billing_month
)

select
    available.customer_id,
    available.currency,
    available.available_amount,
    coalesce(of_this_month.amount, 0) as taken_amount,
    coalesce(of_this_month.billed_amount, 0) as billed_amount
from available
left join of_this_month
    on
        available.customer_id = of_this_month.customer_id
        and available.currency = of_this_month.currency
