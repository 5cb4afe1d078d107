{# The charges of a model with tiers: what the entered tiers add up to, and a text that shows `rate`
   of each. #}
{% macro tiered_charges(charge_model, rate) -%}
with
rated as (
    select
        charge_id,
        exact_normal({
            'units': sum(tier_amount.units),
            'num': sum(tier_amount.num),
            'den': any_value(tier_amount.den)
        }) as model_amount,
        string_agg(
            'tier ' || tier || ': ' || exact_text(part) || ' × ' || {{ rate }}
            || case when flat_amount > 0 then ' + ' || plain(flat_amount) else '' end,
            '; ' order by tier
        ) as model_text
    from {{ ref('tier_parts') }}
    where charge_model = '{{ charge_model }}'
    group by charge_id
)

select quantities.*, rated.* exclude (charge_id)
from {{ ref('billable_quantities') }} as quantities
inner join rated on quantities.charge_id = rated.charge_id
{%- endmacro %}

{# Whether a charge's model has tiers; with `rate`, whether its tiers are charged by that column. #}
{% macro has_tiers(rate=none) -%}
    {%- set names = [] -%}
    {%- for name in var('charge_models') -%}
        {%- set tier_rate = var('charge_models')[name].tier_rate -%}
        {%- if tier_rate and rate in (none, tier_rate) -%}
            {%- do names.append("'" ~ name ~ "'") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if names %}charge_model in ({{ names | join(', ') }}){% else %}false{% endif -%}
{%- endmacro %}
