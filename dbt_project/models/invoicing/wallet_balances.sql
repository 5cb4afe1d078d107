-- grain: customer × currency with a wallet: what this month's invoice may take from it. What
-- later months have already taken stays theirs, so a late rerun cannot spend it twice
with
transactions as (select * from {{ ref('stg_accounts__wallet_transactions') }}),
applications as (select * from {{ source('raw', 'wallet_applications') }}),
run as (select * from {{ ref('stg_run') }}),

horizons as (
    select distinct
        owners.customer_id, owners.currency, months.billing_month,
        timezone(run.timezone, (months.billing_month + to_months(1))::timestamp) as horizon
    from (select distinct customer_id, currency from transactions) as owners
    cross join run
    cross join (
        select billing_month from {{ ref('stg_run') }}
        union
        select billing_month from applications
    ) as months
    where months.billing_month >= run.billing_month
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
)

select customer_id, currency, greatest(min(balance), 0) as available_amount
from at_horizon
group by all
