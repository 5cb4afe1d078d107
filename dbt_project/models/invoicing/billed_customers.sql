-- grain: payer × currency with an invoice this month: somebody on whose invoice there is a line
with
lines as (select * from {{ ref('lines_before_tax') }}),
customers as (select * from {{ ref('stg_accounts__customers') }}),
run as (select * from {{ ref('stg_run') }}),

sums as (
    select
        payer_id as customer_id,
        currency,
        coalesce(sum(amount) filter (where kind <> 'discount'), 0) as subtotal,
        coalesce(-sum(amount) filter (where kind = 'discount'), 0) as discount
    from lines
    group by all
),

-- a correction may be of a tax alone
payers as (
    select * from sums
    union all by name
    select distinct payer_id as customer_id, currency, 0 as subtotal, 0 as discount
    from {{ ref('corrections') }}
    where (payer_id, currency) not in (select (customer_id, currency) from sums)
)

select
    {{ invoice_id('payers.customer_id', 'payers.currency', 'run.billing_month') }} as invoice_id,
    payers.customer_id,
    payers.currency,
    customers.country,
    customers.region,
    customers.tax_exempt,
    customers.collection_method,
    case
        when customers.collection_method = 'send_invoice' then coalesce(customers.days_until_due, 30)
        else customers.days_until_due
    end as days_until_due,
    payers.subtotal::decimal(38, 4) as subtotal,
    payers.discount::decimal(38, 4) as discount
from payers
inner join customers on payers.customer_id = customers.customer_id
cross join run
