-- grain: tier of a price or of a cost, or of one version of it; a cost's id as in
-- stg_catalog__cost_prices
select price_id, up_to, unit_amount, flat_amount, percentage, valid_from
from {{ ref('stg_catalog__price_tiers') }}
union all
select chr(10) || price_id, up_to, unit_amount, flat_amount, percentage, valid_from
from {{ source('raw', 'cost_price_tiers') }}
