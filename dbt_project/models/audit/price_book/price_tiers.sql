{{ config(materialized='view') }}
-- grain: tier of a price, or of one version of it, as the month was rated with it
select
    run.billing_month,
    price_tiers.price_id,
    price_tiers.up_to,
    price_tiers.unit_amount,
    price_tiers.flat_amount,
    price_tiers.percentage,
    price_tiers.valid_from
from {{ source('raw', 'price_tiers') }} as price_tiers
cross join {{ ref('stg_run') }} as run
