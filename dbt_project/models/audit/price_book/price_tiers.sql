{{ config(materialized='view') }}
-- grain: tier of a price, or of one version of it, as the month was rated with it
select run.billing_month, price_tiers.*
from {{ source('raw', 'price_tiers') }} as price_tiers
cross join {{ ref('stg_run') }} as run
