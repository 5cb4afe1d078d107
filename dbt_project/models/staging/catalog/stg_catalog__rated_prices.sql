-- grain: plan × price version × time in which no other price of the plan replaces it, and version of a
-- cost: all that quantities are rated by
{%- set columns = [
    'price_id', 'plan_id', 'meter_id', 'description', 'currency', 'charge_model', 'unit_amount',
    'flat_amount', 'package_size', 'percentage', 'included_quantity', 'included_per',
    'quantity_rounding', 'minimum_amount', 'maximum_amount', 'event_minimum_amount',
    'event_maximum_amount', 'free_events', 'filter', 'filter_rest', 'timing', 'price_interval',
    'prorate', 'valid_from', 'valid_to', 'tax_code', 'tiers_from', 'inherited_by'
] | join(', ') %}
select {{ columns }} from {{ ref('stg_catalog__prices') }}
union all
select {{ columns }} from {{ ref('stg_catalog__cost_prices') }}
