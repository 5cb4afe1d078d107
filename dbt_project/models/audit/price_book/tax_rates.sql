{{ config(materialized='view') }}
-- grain: tax rate, as the month was rated with it
select run.billing_month, tax_rates.*
from {{ source('raw', 'tax_rates') }} as tax_rates
cross join {{ ref('stg_run') }} as run
