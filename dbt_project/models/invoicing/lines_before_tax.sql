{{ config(materialized='view') }}
-- grain: line before tax: what subscriptions come to, and the discounts on it; on each line its share
-- of the discounts
with
shares as (
    select line_id, sum(discount_share) as discount_share
    from {{ ref('line_discounts') }}
    group by line_id
)

select
    lines.* exclude (unused_period_start, price_id),
    coalesce(shares.discount_share, 0) as discount_share
from {{ ref('subscription_lines') }} as lines
left join shares on lines.line_id = shares.line_id
union all by name
select * from {{ ref('discounts') }}
