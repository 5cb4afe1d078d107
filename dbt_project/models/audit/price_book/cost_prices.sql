{{ config(materialized='view') }}
-- grain: version of a cost, as the month's margins were computed with it
select
    run.billing_month,
    cost_prices.price_id,
    cost_prices.meter_id,
    cost_prices.description,
    cost_prices.currency,
    cost_prices.charge_model,
    cost_prices.unit_amount,
    cost_prices.flat_amount,
    cost_prices.package_size,
    cost_prices.percentage,
    cost_prices.included_quantity,
    cost_prices.included_per,
    cost_prices.quantity_rounding,
    cost_prices.minimum_amount,
    cost_prices.maximum_amount,
    cost_prices.event_minimum_amount,
    cost_prices.event_maximum_amount,
    cost_prices.free_events,
    cost_prices.filter,
    cost_prices.filter_rest,
    cost_prices.timing,
    cost_prices.interval,
    cost_prices.prorate,
    cost_prices.valid_from,
    cost_prices.valid_to,
    cost_prices.tax_code,
    cost_prices.replaces
from {{ source('raw', 'cost_prices') }} as cost_prices
cross join {{ ref('stg_run') }} as run
