-- grain: invoice line before tax, with the customer on whose invoice it stands and the line's share
-- of the discounts
with
others as (
    select * from {{ ref('discounts') }}
    union all by name
    select * from {{ ref('commitment_lines') }}
    union all by name
    select * from {{ ref('adjustment_lines') }}
)

select * exclude (price_id), true as is_taxed from {{ ref('discounted_lines') }}
union all by name
select
    others.* replace (coalesce(others.is_taxed, true) as is_taxed),
    customers.payer_id,
    0 as discount_share
from others
inner join {{ ref('paying_customers') }} as customers on others.customer_id = customers.customer_id
