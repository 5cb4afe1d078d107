{{ config(materialized='view') }}
-- grain: currency, with the decimal places to which the month's lines are rounded
select run.billing_month, currencies.currency, currencies.exponent::integer as decimal_places
from {{ source('raw', 'currencies') }} as currencies
cross join {{ ref('stg_run') }} as run
