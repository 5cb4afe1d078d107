{{ config(meta={'dagster': {'ref': {'name': 'charge_tiers'}}}) }}
-- the tiers of a charge hold its whole billable quantity
select charges.charge_id
from {{ ref('charges') }} as charges
inner join (
    select charge_id, sum(quantity) as tier_quantity
    from {{ ref('charge_tiers') }}
    group by charge_id
) as tiers on charges.charge_id = tiers.charge_id
where charges.billable_quantity <> tiers.tier_quantity
