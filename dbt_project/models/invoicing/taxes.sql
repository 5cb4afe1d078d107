-- grain: invoice × tax rate that applies to some of its lines: one line of tax, on what they come to
-- less their discounts
with
lines as (select * from {{ ref('lines_before_tax') }} where is_taxed and kind <> 'discount'),
rates as (select * from {{ ref('invoice_tax_rates') }}),
currencies as (select * from {{ source('raw', 'currencies') }}),

-- where an inclusive rate meets others on some of the lines only, these contain another part of it
parts as (
    select
        rates.* exclude (tax_code),
        sum(lines.amount - lines.discount_share) as tax_base
    from lines
    inner join rates
        on lines.payer_id = rates.customer_id
        and lines.currency = rates.currency
        and lines.tax_code is not distinct from rates.tax_code
    group by all
),

shares as (
    select
        *,
        case
            when inclusive then exact_share(exact(abs(tax_base)), part_pico, whole_pico)
            else exact_percentage(exact(abs(tax_base)), percentage)
        end as tax_share,
        plain(tax_base) || ' × ' || plain(percentage) || ' / ' || plain(whole)
            as share_text
    from parts
),

summed as (
    select
        invoice_id, customer_id, currency, tax_rate_id, description, percentage,
        coalesce(inclusive, false) as is_inclusive,
        exact_sum(list(tax_share) filter (where tax_base >= 0)) as added,
        exact_sum(list(tax_share) filter (where tax_base < 0)) as taken,
        string_agg(share_text, ' + ' order by tax_base desc, whole_pico desc) as shares_text
    from shares
    group by all
),

computed as (
    select
        summed.*,
        currencies.exponent,
        rounded_to_minor(exact_minus(added, taken).units, currencies.exponent)
        - rounded_to_minor(exact_minus(taken, added).units, currencies.exponent) as tax_amount
    from summed
    inner join currencies on summed.currency = currencies.currency
)

select
    'li_' || left(md5(concat_ws('|', 'tax', invoice_id, tax_rate_id)), 24) as line_id,
    invoice_id, customer_id, 'tax' as kind,
    coalesce(description, tax_rate_id) || ' ' || plain(percentage) || ' %'
    || case when is_inclusive then ' (included)' else '' end as description,
    tax_amount::decimal(38, 4) as amount, currency, tax_rate_id, is_inclusive,
    shares_text || case when is_inclusive then ', included' else '' end
    || '; ' || {{ rounded_text('tax_amount') }} as calculation
from computed
where tax_amount <> 0
