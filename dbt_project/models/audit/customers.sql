-- grain: customer, as the accounts had it when the month was computed
select
    run.billing_month,
    customers.customer_id,
    customers.name,
    customers.address,
    customers.country,
    customers.tax_id,
    customers.email,
    customers.currency,
    customers.is_payer,
    customers.tax_exempt as is_tax_exempt,
    customers.collection_method,
    customers.region,
    customers.payer_id,
    customers.purchase_order,
    customers.street,
    customers.city,
    customers.postal_code,
    customers.buyer_reference,
    customers.electronic_address,
    customers.tax_category,
    customers.exemption_reason,
    customers.stripe_customer_id
from {{ ref('stg_accounts__customers') }} as customers
cross join {{ ref('stg_run') }} as run
