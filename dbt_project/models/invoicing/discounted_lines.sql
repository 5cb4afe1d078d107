{{ config(materialized='view') }}
-- grain: charge or minimum on an invoice, with its share of the discounts
with
shares as (
    select line_id, sum(discount_share) as discount_share
    from {{ ref('line_discounts') }}
    group by line_id
)

select
    lines.* exclude (unused_period_start),
    customers.payer_id,
    coalesce(shares.discount_share, 0) as discount_share
from {{ ref('subscription_lines') }} as lines
inner join {{ ref('paying_customers') }} as customers on lines.customer_id = customers.customer_id
left join shares on lines.line_id = shares.line_id
