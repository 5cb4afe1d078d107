{{ config(materialized='view') }}
-- grain: tier of a price or of a cost, or of one version of it: the bounds (from_quantity, up_to] and
-- what is charged in it
select
    price_id,
    valid_from,
    row_number() over by_bound as tier,
    lag(up_to, 1, 0::decimal(38, 18)) over by_bound as from_quantity,
    up_to,
    coalesce(unit_amount, 0) as unit_amount,
    coalesce(flat_amount, 0) as flat_amount,
    coalesce(percentage, 0) as percentage
from {{ ref('stg_catalog__rated_tiers') }}
window by_bound as (partition by price_id, valid_from order by up_to nulls last)
