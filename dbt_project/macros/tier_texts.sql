{# How a charge comes about tier by tier, as `calculation` says it; `rate` is what a tier is charged
   by. #}
{% macro tier_texts(rate) -%}
string_agg({{ tier_text(rate) }}, '; ' order by tier)
{%- endmacro %}

{% macro tier_text(rate) -%}
'tier ' || tier || ': ' || exact_text(part) || ' × ' || {{ rate }}
            || case when flat_amount > 0 then ' + ' || plain(flat_amount) else '' end
{%- endmacro %}
