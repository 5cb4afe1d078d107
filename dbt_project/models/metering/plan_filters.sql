{{ config(materialized=stored_on_spark()) }}
-- grain: plan × price version with a filter × combination of properties that it accepts: what
-- prices with `filter_rest` of the same plan and meter leave out
select
    prices.plan_id,
    prices.meter_id,
    prices.price_id,
    prices.valid_from,
    prices.valid_to,
    filters.paths,
    filters.texts,
    filters.bounds
from {{ ref('stg_catalog__rated_prices') }} as prices
inner join {{ source('raw', 'filters') }} as filters on prices.filter = filters.filter
where prices.filter <> '' and not prices.filter_rest
