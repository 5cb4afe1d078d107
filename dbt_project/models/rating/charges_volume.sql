{{ config(materialized='view') }}
-- grain: charge of the model `volume`: all units at the rate of the tier that the total falls in, plus
-- that tier's flat_amount
select
    charge_id,
    exact_normal({
        'units': sum(tier_amount.units),
        'num': sum(tier_amount.num),
        'den': any_value(tier_amount.den)
    }) as model_amount,
    string_agg(
        'tier ' || tier || ': ' || exact_text(part) || ' × ' || plain(unit_amount)
        || case when flat_amount > 0 then ' + ' || plain(flat_amount) else '' end,
        '; ' order by tier
    ) as model_text
from {{ ref('tier_parts') }}
where charge_model = 'volume'
group by charge_id
