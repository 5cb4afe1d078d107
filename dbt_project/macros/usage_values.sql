{# True where an event's properties match every key of a price's filter, compared as text. #}
{% macro matches_filter(properties, filter_paths, filter_values) -%}
    (
        len({{ filter_paths }}) = 0
        or list_transform(
            {{ filter_paths }}, lambda p: json_extract_string({{ properties }}, p)
        ) = {{ filter_values }}
    )
{%- endmacro %}

{# The text of the property that a meter reads; null where the event lacks it. #}
{% macro property_text(properties, property_path) -%}
    json_extract_string({{ properties }}, {{ property_path }})
{%- endmacro %}

{# A text as a quantity; null where it is no finite decimal of at most 15 digits before the point
   and 18 after it, or is negative. #}
{% macro quantity_from_text(text) -%}
    case
        when regexp_full_match(
            {{ text }}, '\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|-(0+\.?0*|\.0+)'
        ) and not regexp_matches({{ text }}, '\.[0-9]{18}[0-9]*[1-9]')
            then try_cast({{ text }} as decimal(33, 18))::decimal(38, 18)
    end
{%- endmacro %}
