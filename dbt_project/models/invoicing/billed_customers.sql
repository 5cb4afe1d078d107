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
)

select
    {{ invoice_id('sums.customer_id', 'sums.currency', 'run.billing_month') }} as invoice_id,
    sums.customer_id,
    sums.currency,
    customers.country,
    customers.region,
    customers.tax_exempt,
    customers.collection_method,
    case
        when customers.collection_method = 'send_invoice' then coalesce(customers.days_until_due, 30)
        else customers.days_until_due
    end as days_until_due,
    sums.subtotal::decimal(38, 4) as subtotal,
    sums.discount::decimal(38, 4) as discount
from sums
inner join customers on sums.customer_id = customers.customer_id
cross join run
