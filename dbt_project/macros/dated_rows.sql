{# Ranks a customer's rows by which is valid just before an instant: 1 is that row, or, where none has
   begun, the first one, which holds before its time. #}
{% macro validity_rank(partition, valid_from, until) -%}
row_number() over (
    partition by {{ partition }}
    order by
        case when coalesce({{ valid_from }} < {{ until }}, true) then 0 else 1 end,
        case when coalesce({{ valid_from }} < {{ until }}, true) then {{ valid_from }} end
            desc nulls last,
        {{ valid_from }}
)
{%- endmacro %}
