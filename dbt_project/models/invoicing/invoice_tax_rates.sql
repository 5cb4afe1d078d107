-- grain: invoice × tax code of its lines × tax rate that applies to them
with
billed as (select * from {{ ref('billed_customers') }} where not tax_exempt),
lines as (select * from {{ ref('lines_before_tax') }} where is_taxed and kind <> 'discount'),
rates as (select * from {{ ref('stg_catalog__tax_rates') }}),
run as (select * from {{ ref('stg_run') }}),

-- of the customer's country and region, valid in the month's last instant
candidates as (
    select billed.invoice_id, billed.customer_id, billed.currency, rates.*
    from billed
    inner join rates
        on billed.country = rates.country
        and (rates.region is null or upper(rates.region) = upper(billed.region))
    cross join run
    where
        coalesce(rates.valid_from < run.month_end, true)
        and coalesce(rates.valid_to >= run.month_end, true)
),

codes as (
    select distinct payer_id as customer_id, currency, tax_code
    from lines
),

applicable as (
    select
        candidates.* exclude (tax_code, valid_from, valid_to, country),
        codes.tax_code,
        candidates.tax_code as rate_code,
        -- the code's own rates displace those without one that have the same region
        bool_or(candidates.tax_code is not null) over (
            partition by candidates.invoice_id, codes.tax_code, candidates.region
        ) as is_displaced
    from codes
    inner join candidates
        on codes.customer_id = candidates.customer_id and codes.currency = candidates.currency
    where candidates.tax_code is null or candidates.tax_code = codes.tax_code
)

select
    * exclude (region, rate_code, is_displaced),
    -- what 100 becomes with the inclusive rates on it
    100 + case
        when inclusive
            then sum(percentage) filter (where inclusive) over (partition by invoice_id, tax_code)
        else 0
    end as whole,
    -- percentages have 12 places: both sides of the fraction as whole numbers
    exact_pico(percentage) as part_pico,
    exact_pico(whole) as whole_pico
from applicable
where rate_code is not null or not is_displaced
