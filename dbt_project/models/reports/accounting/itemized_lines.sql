{{ config(materialized='ephemeral') }}
-- grain: Stripe document × line × tax rates on it, with the account that is credited in the end and what
-- is posted there: without tax, less its discounts
with
included as (
    select document_id, line_id, tax_rates, sum(tax_amount) as tax
    from {{ all_months(ref('document_taxes')) }}
    where is_inclusive
    group by all
),

prepaid as (
    select distinct commitment_id
    from {{ all_months(ref('commitment_balances')) }}
    where kind = 'prepaid'
)

select
    lines.document_id, lines.line_id, lines.tax_rates, lines.customer_id, lines.subscription_id,
    lines.plan_id, lines.price_id, lines.meter_id, lines.kind,
    case
        when lines.kind = 'tax' then 'tax'
        when prepaid.commitment_id is not null and lines.kind = 'commitment' then 'prepaid_commitments'
        when lines.kind = 'charge' and lines.meter_id is null then 'revenue_fees'
        when lines.kind = 'charge' then 'revenue_usage'
        when lines.kind = 'minimum' then 'revenue_minimums'
        when lines.kind in ('commitment', 'overage') then 'revenue_commitments'
        else 'revenue_adjustments'
    end as account,
    case when lines.kind = 'tax' then lines.tax_rate_id else lines.plan_id end as detail,
    lines.amount - case when lines.kind = 'tax' then 0 else lines.discount_share end
    - coalesce(included.tax, 0) as net,
    -- what else there is, is for no time, or for one that is over
    case when lines.kind in ('charge', 'minimum') then lines.period_start end as period_start,
    case when lines.kind in ('charge', 'minimum') then lines.period_end end as period_end
from {{ all_months(ref('document_lines')) }} as lines
left join included
    on
        lines.document_id = included.document_id
        and lines.line_id = included.line_id
        and lines.tax_rates = included.tax_rates
left join prepaid on lines.commitment_id = prepaid.commitment_id
where lines.kind <> 'discount'
