-- grain: customer × currency × month whose total is below 0: what it puts into the payer's wallet

-- Of this month by what it comes to, of other months as it was billed. What releases before wallets
-- had credit have given in Stripe alone, as part of what was billed, is not given once more.
with
applications as (select * from {{ source('raw', 'wallet_applications') }}),
totals as (select * from {{ ref('invoice_totals') }}),
run as (select * from {{ ref('stg_run') }}),

billed as (
    select
        applications.customer_id, applications.currency,
        greatest(-sum(applications.billed_amount) + sum(least(applications.amount, 0)), 0)
            as given_otherwise
    from applications
    inner join run on applications.billing_month = run.billing_month
    group by all
),

credits as (
    select
        totals.customer_id, totals.currency, run.billing_month,
        -totals.total - coalesce(billed.given_otherwise, 0) as amount
    from totals
    cross join run
    left join billed on totals.customer_id = billed.customer_id and totals.currency = billed.currency
    where totals.total < 0
    union all by name
    select
        applications.customer_id, applications.currency, applications.billing_month,
        -applications.amount as amount
    from applications
    cross join run
    where applications.amount < 0 and applications.billing_month <> run.billing_month
)

select
    credits.customer_id,
    credits.currency,
    credits.billing_month,
    {{ invoice_id('credits.customer_id', 'credits.currency', 'credits.billing_month') }} as invoice_id,
    credits.amount::decimal(38, 12) as amount,
    -- the last instant of the month
    months.month_end - to_microseconds(1) as came_at
from credits
inner join {{ ref('stg_months') }} as months on credits.billing_month = months.billing_month
where credits.amount > 0
