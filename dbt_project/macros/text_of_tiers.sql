{# How a charge comes about tier by tier, as `calculation` says it; `rate` is what a tier is charged
   by. #}
{% macro text_of_tiers(rate) -%}
string_agg(
            'tier ' || tier || ': ' || exact_text(part) || ' × ' || {{ rate }}
            || case when flat_amount > 0 then ' + ' || plain(flat_amount) else '' end,
            '; ' order by tier
        )
{%- endmacro %}
