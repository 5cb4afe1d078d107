{{ config(materialized='ephemeral') }}
-- grain: Stripe document that stands × line × tax rates on it, or tax rate, or what no line explains:
-- what is posted of it, without tax and discounts, and the days [first_day, end_day) over which it is
-- earned

-- A fee, usage or a minimum is earned over its service period. All else is earned in the month that
-- invoices it: what an adjustment, a commitment or a correction of closed books is for is over.
with
posted as materialized (select * from {{ ref('posted_documents') }}),

lines as materialized (
    select * from {{ ref('itemized_lines') }}
    union all by name
    select document_id, tax_rate_id as line_id, '' as tax_rates, 'tax' as account, tax_rate_id as detail,
        tax as net
    from {{ ref('unitemized_taxes') }}
),

-- of a document whose lines are not recorded; or the tax that lines of correction contain
rests as (
    select
        posted.document_id, '' as line_id, '' as tax_rates, 'correction' as kind,
        'revenue_adjustments' as account,
        any_value(posted.amount) - coalesce(sum(lines.net), 0) as net
    from posted
    left join lines on posted.document_id = lines.document_id
    group by posted.document_id
),

all_lines as (
    select * from lines
    union all by name
    select * from rests
)

select
    posted.* exclude (kind, amount, customer_id),
    posted.kind as document_kind,
    posted.customer_id as payer_id,
    lines.* exclude (document_id, customer_id, period_start, period_end),
    coalesce(lines.customer_id, posted.customer_id) as customer_id,
    case
        when lines.period_start is not null then timezone(posted.zone, lines.period_start)::date
        when posted.version_before is null then posted.issued_on
        else last_day(posted.billing_month)
    end as first_day,
    greatest(timezone(posted.zone, lines.period_end)::date, first_day + 1) as end_day
from posted
inner join all_lines as lines on posted.document_id = lines.document_id
where lines.net <> 0
