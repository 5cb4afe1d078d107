{{ config(materialized='ephemeral') }}
-- grain: Stripe document that stands × line × tax rates on it: what of it is revenue, without tax
-- and discounts, and the days [first_day, end_day) over which it is earned

-- A fee, usage or a minimum is earned over its service period. All else is earned in the month that
-- invoices it: what an adjustment, a commitment or a correction of closed books is for is over.
with
documents as (select * from {{ ref('posted_documents') }}),

taxes as (
    select document_id, sum(tax) as tax from {{ ref('posted_taxes') }} group by document_id
),

included as (
    select document_id, line_id, tax_rates, sum(tax_amount) as tax
    from {{ all_months(ref('document_taxes')) }}
    where is_inclusive
    group by all
),

prepaid as (
    select distinct lines.invoice_id, lines.line_id
    from {{ all_months(source('as_billed', 'lines_as_billed')) }} as lines
    semi join {{ all_months(ref('commitment_balances')) }} as commitments
        on lines.commitment_id = commitments.commitment_id and commitments.kind = 'prepaid'
    where lines.kind = 'commitment'
),

lines as (
    select
        documents.* exclude (amount),
        lines.line_id, lines.tax_rates, lines.customer_id as served_customer_id,
        lines.subscription_id, lines.plan_id, lines.price_id, lines.meter_id, lines.kind as line_kind,
        case
            when prepaid.line_id is not null then 'prepaid_commitments'
            when lines.kind = 'charge' and lines.meter_id is null then 'revenue_fees'
            when lines.kind = 'charge' then 'revenue_usage'
            when lines.kind = 'minimum' then 'revenue_minimums'
            when lines.kind in ('commitment', 'overage') then 'revenue_commitments'
            else 'revenue_adjustments'
        end as account,
        lines.amount - lines.discount_share - coalesce(included.tax, 0) as net,
        case when lines.kind in ('charge', 'minimum') then lines.period_start end as period_start,
        case when lines.kind in ('charge', 'minimum') then lines.period_end end as period_end
    from documents
    inner join {{ all_months(ref('document_lines')) }} as lines
        on documents.document_id = lines.document_id
    left join included
        on
            lines.document_id = included.document_id
            and lines.line_id = included.line_id
            and lines.tax_rates = included.tax_rates
    left join prepaid on lines.invoice_id = prepaid.invoice_id and lines.line_id = prepaid.line_id
    where lines.kind not in ('tax', 'discount')
),

summed as (select document_id, sum(net) as net from lines group by document_id),

-- of a document whose lines are not recorded; or the tax that lines of correction contain
rests as (
    select
        documents.* exclude (amount),
        '' as line_id, '' as tax_rates, documents.customer_id as served_customer_id,
        'correction' as line_kind, 'revenue_adjustments' as account,
        documents.amount - coalesce(summed.net, 0) - coalesce(taxes.tax, 0) as net
    from documents
    left join summed on documents.document_id = summed.document_id
    left join taxes on documents.document_id = taxes.document_id
),

all_lines as (
    select * from lines
    union all by name
    select * from rests
),

dated as (
    select
        *,
        case
            when period_start is not null then timezone(zone, period_start)::date
            when version_before is null then issued_on
            else last_day(billing_month)
        end as first_day,
        timezone(zone, period_end)::date as last_end
    from all_lines
    where net <> 0
)

select *, greatest(coalesce(last_end, first_day), first_day + 1) as end_day
from dated
