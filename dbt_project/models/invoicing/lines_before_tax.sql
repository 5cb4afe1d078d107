{{ config(materialized='view') }}
-- grain: invoice line before tax, with the customer on whose invoice it stands and the line's share
-- of the discounts
with
customers as (select * from {{ ref('stg_accounts__customers') }}),

shares as (
    select line_id, sum(discount_share) as discount_share
    from {{ ref('line_discounts') }}
    group by line_id
),

lines as (
    select
        subscribed.* exclude (unused_period_start, price_id),
        coalesce(shares.discount_share, 0) as discount_share
    from {{ ref('subscription_lines') }} as subscribed
    left join shares on subscribed.line_id = shares.line_id
    union all by name
    select * from {{ ref('discounts') }}
    union all by name
    select *, 0 as discount_share from {{ ref('adjustment_lines') }}
)

select lines.*, payers.customer_id as payer_id
from lines
inner join customers on lines.customer_id = customers.customer_id and customers.is_payer
inner join customers as payers on customers.payer_id = payers.customer_id and payers.is_payer
