-- grain: charge × tier
with
parts as (
    select charge_id, unnest(tiers) as part
    from {{ ref('rated_charges') }}
)

select
    parts.charge_id,
    run.billing_month,
    part.tier::integer as tier,
    part.from_quantity,
    part.up_to,
    exact_shown(part.part)::decimal(38, 18) as quantity,
    part.unit_amount::decimal(38, 12) as unit_amount,
    part.flat_amount::decimal(38, 12) as flat_amount,
    part.percentage::decimal(38, 12) as percentage,
    rounded_to_pico(part.tier_amount.units) as exact_amount
from parts
cross join {{ ref('stg_run') }} as run
where parts.charge_id in (select charge_id from {{ ref('charges') }})
