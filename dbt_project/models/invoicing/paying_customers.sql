{{ config(materialized='view') }}
-- grain: customer whose lines stand on an invoice, with the customer whose invoice that is
select customers.customer_id, payers.customer_id as payer_id
from {{ ref('stg_accounts__customers') }} as customers
inner join {{ ref('stg_accounts__customers') }} as payers
    on customers.payer_id = payers.customer_id and payers.is_payer
where customers.is_payer
