{#
  A column of a row that was kept as text (source as_known), with its type: texts keep every digit.
#}
{% macro known_column(name, type='varchar') -%}
    json_extract_string(content, '$.{{ name }}')::{{ type }} as {{ name }}
{%- endmacro %}
