-- grain: charge; the model's amount, times its share of the period, within the line's bounds,
-- then rounded once
with
model_amounts as (
    {% for model in [
        'flat', 'per_unit', 'graduated', 'volume', 'package', 'percentage',
        'graduated_percentage', 'dynamic'
    ] -%}
    select charge_id, model_amount, model_text from {{ ref('charges_' ~ model) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

quantities as (
    select
        *,
        kind = 'advance_credit' as is_credit,
        -- a recurring fee is scaled as a whole; of a usage price only what does not depend on usage
        prorate and part_us < whole_us as is_shared
    from {{ ref('billable_quantities') }}
),

shared as (
    select
        quantities.*,
        model_amounts.model_text,
        model_amounts.model_amount.units as model_units,
        case
            when is_shared and meter_id is null
                then exact_share(model_amounts.model_amount, part_us, whole_us)
            else model_amounts.model_amount
        end as shared_amount,
        case
            when is_shared then exact_share(exact(minimum_amount), part_us, whole_us)
            else exact(minimum_amount)
        end as least_amount,
        case
            when is_shared then exact_share(exact(maximum_amount), part_us, whole_us)
            else exact(maximum_amount)
        end as most_amount
    from quantities
    inner join model_amounts on quantities.charge_id = model_amounts.charge_id
),

bounded as (
    select
        *,
        shared_amount.units as shared_units,
        least_amount.units as minimum_units,
        most_amount.units as maximum_units,
        case when is_credit then -1 else 1 end
        * least(greatest(shared_amount.units, least_amount.units), most_amount.units)
            as amount_units
    from shared
)

select
    bounded.* exclude (
        billable, exact_quantity, rounded_quantity, included, shared_amount, least_amount, most_amount
    ),
    exact_shown(billable) as billable_quantity,
    exact_text(exact_quantity) as quantity_text,
    exact_text(rounded_quantity) as rounded_text,
    exact_text(included) as included_text,
    exact_text(billable) as billable_text,
    currencies.exponent,
    round_units(amount_units, 12)::decimal(38, 12) as exact_amount,
    round_units(amount_units, currencies.exponent)::decimal(38, 4) as amount
from bounded
inner join {{ source('raw', 'currencies') }} as currencies on bounded.currency = currencies.currency
