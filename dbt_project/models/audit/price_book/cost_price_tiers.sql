{{ config(materialized='view') }}
-- grain: tier of a cost, or of one version of it, as the month's margins were computed with it
select
    run.billing_month,
    cost_price_tiers.price_id,
    cost_price_tiers.up_to,
    cost_price_tiers.unit_amount,
    cost_price_tiers.flat_amount,
    cost_price_tiers.percentage,
    cost_price_tiers.valid_from
from {{ source('raw', 'cost_price_tiers') }} as cost_price_tiers
cross join {{ ref('stg_run') }} as run
