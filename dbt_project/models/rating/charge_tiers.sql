-- grain: charge × tier
select
    parts.charge_id,
    run.billing_month,
    parts.tier::integer as tier,
    parts.from_quantity,
    parts.up_to,
    exact_shown(parts.part)::decimal(38, 18) as quantity,
    parts.unit_amount::decimal(38, 12) as unit_amount,
    parts.flat_amount::decimal(38, 12) as flat_amount,
    parts.percentage::decimal(38, 12) as percentage,
    rounded_to_pico(parts.tier_amount.units) as exact_amount
from {{ ref('tier_parts') }} as parts
cross join {{ ref('stg_run') }} as run
where parts.charge_id in (select charge_id from {{ ref('charges') }})
