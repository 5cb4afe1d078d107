-- grain: customer; what is dated is as valid in the month's last instant, all else as the newest row
-- has it
with
customers as (select * from {{ source('raw', 'customers') }}),
run as (select * from {{ ref('stg_run') }}),

dated as (
    select
        customers.*,
        row_number() over (
            partition by customers.customer_id order by customers.valid_from desc nulls last
        ) as newest_first,
        coalesce(customers.valid_from < run.month_end, true) as has_begun
    from customers
    cross join run
),

ranked as (
    select
        *,
        -- where none has begun, the first row holds before its time
        row_number() over (
            partition by customer_id
            order by
                case when has_begun then 0 else 1 end,
                case when has_begun then valid_from end desc nulls last,
                valid_from
        ) as valid_first
    from dated
)

select
    newest.customer_id,
    newest.name,
    newest.email,
    valid.country,
    valid.region,
    valid.currency,
    newest.stripe_customer_id,
    valid.is_payer,
    newest.collection_method,
    newest.days_until_due,
    newest.payment_method,
    valid.tax_exempt,
    coalesce(valid.bill_to, valid.customer_id) as payer_id,
    newest.address,
    newest.tax_id,
    newest.purchase_order
from ranked as newest
inner join ranked as valid on newest.customer_id = valid.customer_id
where newest.newest_first = 1 and valid.valid_first = 1
