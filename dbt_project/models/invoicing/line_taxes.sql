-- grain: invoice line × tax rate that applies to it: the line's part of the invoice's tax. The parts
-- add up to the tax line: each is cut off to whole minor units, and what is missing goes to the
-- largest remainders. Of corrections, what the rates of the month that they correct add
with
lines as (select * from {{ ref('lines_before_tax') }} where is_taxed and kind <> 'discount'),
rates as (select * from {{ ref('invoice_tax_rates') }}),
taxes as (select * from {{ ref('taxes') }}),
currencies as (select * from {{ source('raw', 'currencies') }}),
run as (select * from {{ ref('stg_run') }}),

taxed as (
    select
        lines.line_id,
        rates.invoice_id,
        lines.amount as net_amount,
        coalesce(lines.discount_share, 0) as discount_share,
        rates.tax_rate_id,
        rates.percentage,
        coalesce(rates.inclusive, false) as is_inclusive,
        lines.amount - coalesce(lines.discount_share, 0) as tax_base,
        currencies.exponent,
        whole_minor(coalesce(taxes.amount, 0), currencies.exponent) as tax_minor,
        whole_minor(tax_base, currencies.exponent) * rates.part_pico as numerator,
        rates.whole_pico as denominator
    from lines
    inner join rates
        on lines.payer_id = rates.customer_id
        and lines.currency = rates.currency
        and lines.tax_code is not distinct from rates.tax_code
    inner join currencies on lines.currency = currencies.currency
    left join taxes
        on rates.invoice_id = taxes.invoice_id and rates.tax_rate_id = taxes.tax_rate_id
),

cut as (
    select
        *,
        numerator // denominator - case when numerator % denominator < 0 then 1 else 0 end as whole
    from taxed
),

shared as (
    select
        *,
        {{ largest_remainder(
            'tax_minor', 'whole',
            'exact_quotient((numerator - whole * denominator) * 1000000000000000000, denominator).units',
            'invoice_id, tax_rate_id'
        ) }} as tax_share
    from cut
)

select
    run.billing_month,
    shared.line_id,
    shared.invoice_id,
    shared.net_amount::decimal(38, 4) as net_amount,
    shared.discount_share::decimal(38, 4) as discount_share,
    shared.tax_rate_id,
    shared.percentage::decimal(38, 12) as percentage,
    shared.is_inclusive,
    shared.tax_base::decimal(38, 4) as tax_base,
    minor_decimal(shared.tax_share, shared.exponent)::decimal(38, 4) as tax_amount
from shared
cross join run
union all by name
select
    run.billing_month,
    found.line_id,
    {{ invoice_id('found.payer_id', 'found.currency', 'run.billing_month') }} as invoice_id,
    found.net_amount::decimal(38, 4) as net_amount,
    found.discount_share::decimal(38, 4) as discount_share,
    found.tax_rate_id,
    found.percentage::decimal(38, 12) as percentage,
    found.is_inclusive,
    found.tax_base::decimal(38, 4) as tax_base,
    found.tax_amount::decimal(38, 4) as tax_amount
from {{ source('raw', 'correction_taxes') }} as found
cross join run
