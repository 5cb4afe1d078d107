{{ config(materialized='ephemeral') }}
-- grain: Stripe document that stands × tax rate, or rates that are on the same lines: the tax in it

-- Without lines of its own a credit note is spread over the rates of what it credits, as on the
-- document: in proportion to the amounts with tax, largest remainder first.
with
documents as (select * from {{ ref('posted_documents') }}),
lines as (select * from {{ all_months(ref('document_lines')) }}),
taxes as (select * from {{ all_months(ref('document_taxes')) }}),

rates as (
    select
        document_id, tax_rates, sum(percentage) as percentage,
        string_agg(tax_rate_id, '; ' order by tax_rate_id) as tax_rate_id
    from (select distinct document_id, tax_rates, tax_rate_id, percentage from taxes)
    group by all
),

added as (
    select document_id, tax_rates, sum(tax_amount) as amount
    from taxes
    where not is_inclusive
    group by all
),

gross as (
    select
        lines.document_id, lines.tax_rates,
        sum(lines.amount - lines.discount_share) + coalesce(any_value(added.amount), 0) as amount
    from lines
    left join added using (document_id, tax_rates)
    where lines.kind not in ('tax', 'discount')
    group by lines.document_id, lines.tax_rates
),

weights as (
    select
        documents.document_id, documents.currency, documents.thousandths, rates.tax_rate_id,
        coalesce(rates.percentage, 0) as percentage,
        (abs(documents.amount) * 1000)::hugeint // documents.thousandths as whole,
        (abs(gross.amount) * 1000)::hugeint as weight,
        sum((abs(gross.amount) * 1000)::hugeint) over by_document as weights
    from documents
    inner join gross on documents.corrects_id = gross.document_id
    left join rates on gross.document_id = rates.document_id and gross.tax_rates = rates.tax_rates
    where documents.version_before is null
    window by_document as (partition by documents.document_id)
),

parts as (
    select
        *,
        whole * weight // weights + case
            when row_number() over (
                partition by document_id
                order by whole * weight % weights desc, percentage desc, tax_rate_id
            ) <= whole - sum(whole * weight // weights) over (partition by document_id) then 1
            else 0
        end as part
    from weights
    where weights > 0
)

select document_id, tax_rate_id, sum(amount) as tax
from lines
where kind = 'tax' and document_id in (select document_id from documents)
group by document_id, tax_rate_id
union all by name
-- the tax in an amount with tax, half a unit up: percentages have twelve places
select
    document_id, tax_rate_id,
    -((part - (
        2 * part * 100000000000000 + (100 + percentage) * 1000000000000
    )::hugeint // ((100 + percentage) * 2000000000000)::hugeint) * thousandths)::decimal(38, 0)
    * 0.001::decimal(4, 3) as tax
from parts
where percentage > 0
