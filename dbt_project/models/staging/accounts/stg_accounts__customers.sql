-- grain: customer; what is dated is as valid in the month's last instant, all else as the newest row
-- has it
with
customers as (select * from {{ source('raw', 'customers') }}),
run as (select * from {{ ref('stg_run') }}),

ranked as (
    select
        customers.*,
        row_number() over (
            partition by customers.customer_id order by customers.valid_from desc nulls last
        ) as newest_first,
        {{ validity_rank('customers.customer_id', 'customers.valid_from', 'run.month_end') }}
            as valid_first
    from customers
    cross join run
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
    newest.purchase_order,
    newest.street,
    newest.city,
    newest.postal_code,
    newest.buyer_reference,
    newest.electronic_address,
    newest.tax_category,
    newest.exemption_reason
from ranked as newest
inner join ranked as valid on newest.customer_id = valid.customer_id
where newest.newest_first = 1 and valid.valid_first = 1
