{{ config(materialized='view') }}
-- grain: price version, as the month was rated with it
select
    run.billing_month,
    prices.price_id,
    prices.plan_id,
    prices.meter_id,
    prices.description,
    prices.currency,
    prices.charge_model,
    prices.unit_amount,
    prices.flat_amount,
    prices.package_size,
    prices.percentage,
    prices.included_quantity,
    prices.included_per,
    prices.quantity_rounding,
    prices.minimum_amount,
    prices.maximum_amount,
    prices.event_minimum_amount,
    prices.event_maximum_amount,
    prices.free_events,
    prices.filter,
    prices.filter_rest,
    prices.timing,
    prices.interval,
    prices.prorate,
    prices.valid_from,
    prices.valid_to,
    prices.tax_code,
    prices.replaces
from {{ source('raw', 'prices') }} as prices
cross join {{ ref('stg_run') }} as run
