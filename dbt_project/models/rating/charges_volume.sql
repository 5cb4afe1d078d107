{{ config(materialized='view') }}
-- grain: charge of the model `volume`: all units at the rate of the tier that the total falls in, plus
-- that tier's flat_amount
with
quantities as (
    select * from {{ ref('billable_quantities') }}
    where charge_model = 'volume'
),

-- the tier that the total falls in; 0 falls in the first
entered as (
    select
        quantities.charge_id,
        tiers.* exclude (price_id, valid_from),
        quantities.billable as part
    from quantities
    inner join {{ ref('tier_bounds') }} as tiers
        on quantities.price_id = tiers.price_id
        and quantities.tiers_from is not distinct from tiers.valid_from
    where
        (tiers.tier = 1 or exact_above(quantities.billable, tiers.from_quantity))
        and (tiers.up_to is null or not exact_above(quantities.billable, tiers.up_to))
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
        tier_amount as model_amount,
        {{ tier_text('plain(unit_amount)') }} as model_text,
        [amounts] as tiers
    from amounts
)

select quantities.*, rated.* exclude (charge_id)
from quantities
inner join rated on quantities.charge_id = rated.charge_id
