{#
  How usage is read where engines differ. Each is written for DuckDB here, and for Spark in
  spark/usage_values.sql.

  A JSON object's values are asked for by JSON pointer, in which every key can be written.
#}

{# The text of the property that a meter reads; null where the event lacks it. #}
{% macro property_text(properties, property_path) -%}
    {{ adapter.dispatch('property_text')(properties, property_path) }}
{%- endmacro %}

{% macro default__property_text(properties, property_path) -%}
    json_extract_string({{ properties }}, {{ property_path }})
{%- endmacro %}

{# Names that are separated by `;` as a list of JSON pointers; null where there are none. #}
{% macro pointers(names) -%}
    {{ adapter.dispatch('pointers')(names) }}
{%- endmacro %}

{% macro default__pointers(names) -%}
    list_transform(
        string_split({{ names }}, ';'),
        lambda name: '/' || replace(replace(trim(name), '~', '~0'), '/', '~1')
    )
{%- endmacro %}

{# A text that is the same for the same properties, whatever the order of their keys. #}
{% macro properties_content(properties) -%}
    {{ adapter.dispatch('properties_content')(properties) }}
{%- endmacro %}

{% macro default__properties_content(properties) -%}
    case
        when {{ properties }} is null or {{ properties }} = '{}' then '{}'
        else list_sort(list_transform(
            json_keys({{ properties }}),
            lambda k: to_json(k) || ':' || coalesce(json_extract(
                {{ properties }}, '/' || replace(replace(k, '~', '~0'), '/', '~1')
            )::varchar, 'null')
        ))::varchar
    end
{%- endmacro %}

{# The columns in which a row of a usage file stands as it was given. #}
{% macro given_columns(events) -%}
    {{ adapter.dispatch('given_columns')(events) }}
{%- endmacro %}

{% macro default__given_columns(events) -%}
    {{ events }}.given_text, {{ events }}.given_event_id, {{ events }}.given_customer_id,
    {{ events }}.given_event_name, {{ events }}.given_occurred_at, {{ events }}.given_quantity,
    {{ events }}.given_properties, {{ events }}.given_subscription_id
{%- endmacro %}

{# Such a row as text: as it was where it was text, JSON where it came in columns. #}
{% macro given_text() -%}
    {{ adapter.dispatch('given_text')() }}
{%- endmacro %}

{% macro default__given_text() -%}
    {%- set names = ['event_id', 'customer_id', 'event_name', 'occurred_at', 'quantity', 'properties'] -%}
    coalesce(given_text, case
        when given_subscription_id is null then {{ given_object(names) }}
        else {{ given_object(names + ['subscription_id']) }}
    end)
{%- endmacro %}

{% macro given_object(names) -%}
    to_json({
        {%- for name in names %}
        '{{ name }}': given_{{ name }}::varchar{{ ',' if not loop.last }}
        {%- endfor %}
    })::varchar
{%- endmacro %}

{# A text as a quantity; null where it is no finite decimal of at most 15 digits before the point
   and 18 after it, or is negative. The intake has defined it in the warehouse, by the grammar by
   which it reads quantities. #}
{% macro quantity_from_text(text) -%}
    {{ adapter.dispatch('quantity_from_text')(text) }}
{%- endmacro %}

{% macro default__quantity_from_text(text) -%}
    raw.quantity_from_text({{ text }})
{%- endmacro %}

{# The same of either sign. #}
{% macro number_from_text(text) -%}
    {{ adapter.dispatch('number_from_text')(text) }}
{%- endmacro %}

{% macro default__number_from_text(text) -%}
    raw.number_from_text({{ text }})
{%- endmacro %}

{# True for the text of a decimal of 0 or more, of whatever size. #}
{% macro is_decimal_text(text) -%}
    {{ adapter.dispatch('is_decimal_text')(text) }}
{%- endmacro %}

{% macro default__is_decimal_text(text) -%}
    raw.is_decimal_text({{ text }})
{%- endmacro %}

{# A hash that is quick to group by; two ids may share one. #}
{% macro cheap_hash() -%}
    {{ adapter.dispatch('cheap_hash')(*varargs) }}
{%- endmacro %}

{% macro default__cheap_hash() -%}
    hash({{ varargs | join(', ') }})
{%- endmacro %}

{# A row for each whole number from the first (included) to the last (excluded). #}
{% macro each_number(first, last) -%}
    {{ adapter.dispatch('each_number')(first, last) }}
{%- endmacro %}

{% macro default__each_number(first, last) -%}
    unnest(range({{ first }}, {{ last }}))
{%- endmacro %}

{# Before `over`: the last value of the frame that is not null. #}
{% macro last_known(value) -%}
    {{ adapter.dispatch('last_known')(value) }}
{%- endmacro %}

{% macro default__last_known(value) -%}
    last_value({{ value }} ignore nulls)
{%- endmacro %}

{# After a `*`: all columns but these. #}
{% macro exclude() -%}
    {{ adapter.dispatch('exclude')(*varargs) }}
{%- endmacro %}

{% macro default__exclude() -%}
    exclude ({{ varargs | join(', ') }})
{%- endmacro %}
