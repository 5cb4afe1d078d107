{{ config(materialized='view') }}
-- grain: charge of the model `graduated`: each unit at the rate of the tier it falls in, plus the
-- flat_amount of each entered tier
with
quantities as (
    select * from {{ ref('billable_quantities') }}
    where charge_model = 'graduated'
),

-- a quantity enters each tier whose lower bound it is above, and the first in any case
entered as (
    select
        quantities.charge_id,
        tiers.* exclude (price_id, valid_from),
        exact_between(quantities.billable, tiers.from_quantity, tiers.up_to) as part
    from quantities
    inner join {{ ref('tier_bounds') }} as tiers
        on quantities.price_id = tiers.price_id
        and quantities.tiers_from is not distinct from tiers.valid_from
    where tiers.tier = 1 or exact_above(quantities.billable, tiers.from_quantity)
),

amounts as (
    select
        *,
        exact_plus(exact_times(part, unit_amount), exact(flat_amount).units) as tier_amount
    from entered
),

rated as (
    select
        charge_id,
        exact_total(tier_amount) as model_amount,
        {{ tier_texts('plain(unit_amount)') }} as model_text,
        -- in any order: sorting each charge's few costs more than all else here
        list(amounts) as tiers
    from amounts
    group by charge_id
)

select quantities.*, rated.* exclude (charge_id)
from quantities
inner join rated on quantities.charge_id = rated.charge_id
