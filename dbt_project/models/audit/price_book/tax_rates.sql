{{ config(materialized='view') }}
-- grain: tax rate, as the month was rated with it
select
    run.billing_month,
    tax_rates.tax_rate_id,
    tax_rates.country,
    tax_rates.percentage,
    tax_rates.inclusive,
    tax_rates.description,
    tax_rates.valid_from,
    tax_rates.valid_to,
    tax_rates.region,
    tax_rates.tax_code
from {{ source('raw', 'tax_rates') }} as tax_rates
cross join {{ ref('stg_run') }} as run
