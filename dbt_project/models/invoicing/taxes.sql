-- grain: invoice × tax rate of the customer's country that is valid at the month's end
with
billed as (select * from {{ ref('billed_customers') }} where not tax_exempt),
rates as (select * from {{ ref('stg_catalog__tax_rates') }}),
currencies as (select * from {{ source('raw', 'currencies') }}),
run as (select * from {{ ref('stg_run') }}),

valid_rates as (
    select
        rates.*,
        sum(rates.percentage) filter (where rates.inclusive) over (partition by rates.country)
            as inclusive_percentage
    from rates
    cross join run
    where
        coalesce(rates.valid_from < run.month_end, true)
        and coalesce(rates.valid_to >= run.month_end, true)
),

applied as (
    select
        billed.invoice_id,
        billed.customer_id,
        billed.currency,
        billed.taxable_amount,
        valid_rates.tax_rate_id,
        valid_rates.percentage,
        coalesce(valid_rates.inclusive, false) as is_inclusive,
        valid_rates.description,
        currencies.exponent,
        exact_times(exact(abs(billed.taxable_amount)), valid_rates.percentage) as hundredfold,
        100 + valid_rates.inclusive_percentage as inclusive_whole,
        -- percentages have 12 places; this makes both sides of the fraction whole numbers
        case when valid_rates.inclusive then exact_pico(inclusive_whole)
        else exact_pico(100) end as whole_pico,
        exact_pico(valid_rates.percentage) as part_pico
    from billed
    inner join valid_rates on billed.country = valid_rates.country
    inner join currencies on billed.currency = currencies.currency
),

computed as (
    select
        *,
        case when taxable_amount < 0 then -1 else 1 end * rounded_to_minor(
            case
                when is_inclusive
                    then exact_share(exact(abs(taxable_amount)), part_pico, whole_pico).units
                else exact_share(hundredfold, 1, 100).units
            end,
            exponent
        ) as tax_amount
    from applied
)

select
    'li_' || left(md5(concat_ws('|', 'tax', invoice_id, tax_rate_id)), 24) as line_id,
    invoice_id, customer_id, 'tax' as kind,
    coalesce(description, tax_rate_id) || ' ' || plain(percentage) || ' %'
    || case when is_inclusive then ' (included)' else '' end as description,
    tax_amount::decimal(38, 4) as amount, currency, tax_rate_id, is_inclusive,
    plain(taxable_amount) || ' × ' || plain(percentage) || ' / '
    || case when is_inclusive then plain(inclusive_whole) || ', included' else '100' end
    || '; ' || {{ rounded_text('tax_amount') }} as calculation
from computed
where tax_amount <> 0
