-- grain: charge × tier that it enters: the part of the quantity in the tier (from, up_to], and its
-- amount before proration and the line's minimum and maximum
with
quantities as (
    select * from {{ ref('billable_quantities') }}
    where {{ has_tiers() }}
),

tiers as (
    select
        price_id,
        valid_from,
        row_number() over by_bound as tier,
        lag(up_to, 1, 0::decimal(38, 18)) over by_bound as from_quantity,
        up_to,
        coalesce(unit_amount, 0) as unit_amount,
        coalesce(flat_amount, 0) as flat_amount,
        coalesce(percentage, 0) as percentage,
        exact(from_quantity).units as from_units,
        exact(up_to).units as up_to_units,
        exact(coalesce(flat_amount, 0)).units as flat_units
    from {{ ref('stg_catalog__rated_tiers') }}
    window by_bound as (partition by price_id, valid_from order by up_to nulls last)
),

entered as (
    select
        quantities.charge_id,
        quantities.charge_model,
        quantities.billable,
        tiers.* exclude (price_id, valid_from),
        -- quantity ≤ up_to: compare whole units; if they are equal, any remainder makes it greater
        tiers.up_to is null
        or quantities.billable.units < tiers.up_to_units
        or (quantities.billable.units = tiers.up_to_units and quantities.billable.num = 0)
            as ends_here
    from quantities
    inner join tiers
        on quantities.price_id = tiers.price_id
        and quantities.tiers_from is not distinct from tiers.valid_from
    where
        tiers.tier = 1
        or quantities.billable.units > tiers.from_units
        or (quantities.billable.units = tiers.from_units and quantities.billable.num > 0)
),

parts as (
    select
        *,
        case
            when charge_model = 'volume' then billable
            -- all parts keep the quantity's denominator, so that they add up exactly
            when ends_here then {
                'units': billable.units - from_units,
                'num': billable.num,
                'den': billable.den
            }
            else {
                'units': up_to_units - from_units,
                'num': 0::hugeint,
                'den': billable.den
            }
        end as part
    from entered
    where charge_model <> 'volume' or ends_here
)

select
    * exclude (billable, ends_here, from_units, up_to_units, flat_units),
    exact_plus(
        case
            when {{ has_tiers('percentage') }} then exact_share(exact_times(part, percentage), 1, 100)
            else exact_times(part, unit_amount)
        end,
        flat_units
    ) as tier_amount
from parts
