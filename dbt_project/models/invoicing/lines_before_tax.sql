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
union all by name
-- taxed by the rates of the month that they correct
select
    line_id, customer_id, subscription_id, kind, charge_id, description, quantity, amount, currency,
    period_start, period_end, calculation, corrected_month, payer_id,
    0 as discount_share,
    false as is_taxed
from {{ ref('corrections') }}
where kind = 'correction'
