{{ config(materialized='ephemeral') }}
-- grain: credit note whose lines are not recorded × tax rate, or rates that are on the same lines, of
-- what it credits: the tax in it

-- Spread as on the document: in proportion to the amounts with tax, largest remainder first.
with
credits as (
    select * from {{ ref('posted_documents') }}
    where corrects_id is not null and version_before is null
),

lines as (
    select document_id, tax_rates, sum(amount - discount_share) as amount
    from {{ all_months(ref('document_lines')) }}
    where kind not in ('tax', 'discount')
    group by all
),

rates as (
    select
        document_id, tax_rates, tax_rate_id, any_value(percentage) as percentage,
        coalesce(sum(tax_amount) filter (where not is_inclusive), 0) as added
    from {{ all_months(ref('document_taxes')) }}
    group by all
),

taxes as (
    select
        document_id, tax_rates, string_agg(tax_rate_id, '; ' order by tax_rate_id) as tax_rate_id,
        sum(percentage) as percentage, sum(added) as added
    from rates
    group by all
),

weights as (
    select
        credits.document_id, credits.thousandths, taxes.tax_rate_id,
        coalesce(taxes.percentage, 0) as percentage,
        (abs(credits.amount) * 1000)::hugeint // credits.thousandths as whole,
        (abs(lines.amount + coalesce(taxes.added, 0)) * 1000)::hugeint as weight
    from credits
    inner join lines on credits.corrects_id = lines.document_id
    left join taxes on lines.document_id = taxes.document_id and lines.tax_rates = taxes.tax_rates
),

shares as (
    select
        *,
        whole * weight // sum(weight) over by_document as share,
        whole * weight % sum(weight) over by_document as remainder
    from weights
    window by_document as (partition by document_id)
    qualify sum(weight) over by_document > 0
),

parts as (
    select
        *,
        share + case
            when row_number() over (
                partition by document_id order by remainder desc, percentage desc, tax_rate_id asc
            ) <= whole - sum(share) over (partition by document_id) then 1
            else 0
        end as part
    from shares
)

-- the tax in an amount with tax; what is without it is rounded half up, of rates to twelve places
select
    document_id, tax_rate_id,
    -((part - (
        2 * part * 100000000000000 + (100 + percentage) * 1000000000000
    )::hugeint // ((100 + percentage) * 2000000000000)::hugeint) * thousandths)::decimal(35, 0)
    * 0.001::decimal(4, 3) as tax
from parts
where percentage > 0
