{{ config(materialized='view') }}
-- grain: charge of the model `graduated`: each unit at the rate of the tier it falls in, plus the
-- flat_amount of each entered tier
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
where charge_model = 'graduated'
group by charge_id
