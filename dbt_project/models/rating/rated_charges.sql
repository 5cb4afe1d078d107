-- grain: charge; the model's amount, prorated, held within the line's minimum and maximum, and
-- rounded once
with
modelled as (
    {% for model in var('charge_models') -%}
    select * from {{ ref('charges_' ~ model) }}
    {{ 'union all by name' if not loop.last }}
    {% endfor %}
),

quantities as (
    select
        *,
        -- the amount of a fee or a gauge is prorated as a whole, that of usage which adds up only in
        -- its minimum and maximum
        prorate and part_us < whole_us as is_shared
    from modelled
),

shared as (
    select
        * exclude (model_amount),
        model_amount.units as model_units,
        case
            when is_shared and is_share_of_amount then share_units(model_amount, part_us, whole_us)
            else model_amount.units
        end as shared_units,
        (case
            when is_shared then exact_share(exact(minimum_amount), part_us, whole_us)
            else exact(minimum_amount)
        end).units as minimum_units,
        (case
            when is_shared then exact_share(exact(maximum_amount), part_us, whole_us)
            else exact(maximum_amount)
        end).units as maximum_units
    from quantities
),

bounded as (
    select
        *,
        case when kind = 'advance_credit' then -1 else 1 end
        * least(greatest(shared_units, minimum_units), maximum_units) as amount_units
    from shared
)

select
    bounded.*,
    currencies.exponent,
    rounded_to_pico(amount_units) as exact_amount,
    rounded_to_minor(amount_units, currencies.exponent) as amount
from bounded
inner join {{ source('raw', 'currencies') }} as currencies on bounded.currency = currencies.currency
