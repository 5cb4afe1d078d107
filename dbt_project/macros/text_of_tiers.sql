{# How a charge comes about tier by tier, as `calculation` says it; `rate` is what a tier is charged
   by. #}
{% macro text_of_tiers(rate) -%}
string_agg({{ text_of_tier(rate) }}, '; ' order by tier)
{%- endmacro %}

{% macro text_of_tier(rate) -%}
'tier ' || tier || ': ' || exact_text(part) || ' × ' || {{ rate }}
            || case when flat_amount > 0 then ' + ' || plain(flat_amount) else '' end
{%- endmacro %}
