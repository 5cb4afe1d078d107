{{ config(meta={'dagster': {'ref': {'name': 'margins'}}}) }}
-- margins add up, by currency, to the invoices' lines before tax but what is paid beforehand, and to
-- all that is rated as a cost
with
sums as (
    select currency, sum(revenue) as revenue, sum(cost) as cost, sum(margin) as margin
    from {{ ref('margins') }}
    group by currency
),

billed as (
    select lines.currency, sum(lines.amount) as revenue
    from {{ ref('invoice_lines') }} as lines
    left join {{ ref('stg_accounts__commitments') }} as commitments
        on lines.commitment_id = commitments.commitment_id
    where
        lines.kind <> 'tax'
        and not (lines.kind = 'commitment' and coalesce(commitments.kind = 'prepaid', false))
    group by lines.currency
),

costs as (
    select currency, sum(amount) as cost
    from {{ ref('rated_charges') }}
    where kind = 'cost'
    group by currency
)

select coalesce(sums.currency, billed.currency, costs.currency) as currency
from sums
full outer join billed on sums.currency = billed.currency
full outer join costs on coalesce(sums.currency, billed.currency) = costs.currency
where
    coalesce(sums.revenue, 0) <> coalesce(billed.revenue, 0)
    or coalesce(sums.cost, 0) <> coalesce(costs.cost, 0)
    or coalesce(sums.margin, 0) <> coalesce(sums.revenue - sums.cost, 0)
