{{ config(materialized='ephemeral') }}
-- grain: Stripe document that stands × line × tax rates on it, or tax rate, or what no line explains:
-- what is posted of it, without tax and discounts, and the days [first_day, end_day) over which it is
-- earned

-- A fee, usage or a minimum is earned over its service period. All else is earned in the month that
-- invoices it: what an adjustment, a commitment or a correction of closed books is for is over.
with
documents as materialized (select * from {{ ref('posted_documents') }}),

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
),

lines as (
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
        case when lines.kind in ('charge', 'minimum') then lines.period_start end as period_start,
        case when lines.kind in ('charge', 'minimum') then lines.period_end end as period_end
    from {{ all_months(ref('document_lines')) }} as lines
    left join included using (document_id, line_id, tax_rates)
    left join prepaid on lines.commitment_id = prepaid.commitment_id
    where lines.kind <> 'discount'
    union all by name
    select document_id, tax_rate_id as line_id, '' as tax_rates, 'tax' as account, tax_rate_id as detail,
        tax as net
    from {{ ref('unitemized_taxes') }}
),

-- of a document whose lines are not recorded; or the tax that lines of correction contain
rests as (
    select
        documents.document_id, '' as line_id, '' as tax_rates, 'correction' as kind,
        'revenue_adjustments' as account,
        any_value(documents.amount) - coalesce(sum(lines.net), 0) as net
    from documents
    left join lines on documents.document_id = lines.document_id
    group by documents.document_id
)

select
    documents.* exclude (kind, amount, customer_id),
    documents.kind as document_kind,
    documents.customer_id as payer_id,
    lines.* exclude (document_id, customer_id, period_start, period_end),
    coalesce(lines.customer_id, documents.customer_id) as customer_id,
    case
        when lines.period_start is not null then timezone(documents.zone, lines.period_start)::date
        when documents.version_before is null then documents.issued_on
        else last_day(documents.billing_month)
    end as first_day,
    greatest(timezone(documents.zone, lines.period_end)::date, first_day + 1) as end_day
from documents
inner join (select * from lines union all by name select * from rests) as lines
    on documents.document_id = lines.document_id
where lines.net <> 0
