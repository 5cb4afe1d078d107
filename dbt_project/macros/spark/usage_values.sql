{#
  How usage is read on Spark. JSON objects arrive parsed by DuckDB (transfer.sql): a struct of
  `texts`, from JSON pointer to text, and `content`; and rows as given arrive as text. So both engines see the same texts: Spark's
  own JSON functions write numbers otherwise, and take the last of a key that stands twice.
#}
{% macro spark__property_texts(properties, paths) -%}
    transform({{ paths }}, p -> try_element_at({{ properties }}.texts, p))
{%- endmacro %}

{% macro spark__within_bounds(properties, bounds) -%}
    forall({{ bounds }}, b ->
        coalesce({{ number_from_text('try_element_at(' ~ properties ~ '.texts, b.path)') }} > b.above,
            b.above is null)
        and coalesce(
            {{ number_from_text('try_element_at(' ~ properties ~ '.texts, b.path)') }} <= b.up_to,
            b.up_to is null)
    )
{%- endmacro %}

{% macro spark__property_text(properties, property_path) -%}
    try_element_at({{ properties }}.texts, {{ property_path }})
{%- endmacro %}

{% macro spark__pointers(names) -%}
    transform(
        split({{ names }}, ';'),
        name -> '/' || replace(replace(trim(name), '~', '~0'), '/', '~1')
    )
{%- endmacro %}

{% macro spark__properties_content(properties) -%}
    coalesce({{ properties }}.content, '{}')
{%- endmacro %}

{% macro spark__given_columns(events) -%}
    {{ events }}.given_text
{%- endmacro %}

{% macro spark__given_text() -%}
    given_text
{%- endmacro %}

{% macro spark__quantity_from_text(text) -%}
    case
        when {{ text }} rlike r'\A(\+?{{ var('decimal') }}|-0+(\.0+)?)\z'
            then {{ fitting_quantity(text) }}
        when {{ text }} rlike r'\A\+?{{ var('decimal') }}[eE][+-]?0*[0-9]{1,4}\z'
            then {{ fitting_quantity(without_exponent(text)) }}
    end
{%- endmacro %}

{% macro spark__number_from_text(text) -%}
    case
        when {{ text }} rlike '^-[0-9]'
            then -({{ spark__quantity_from_text("substr(" ~ text ~ ", 2)") }})
        else {{ spark__quantity_from_text(text) }}
    end
{%- endmacro %}

{% macro spark__is_decimal_text(text) -%}
    {{ text }} rlike r'\A\+?{{ var('decimal') }}([eE][+-]?[0-9]+)?\z'
{%- endmacro %}

{# A plain decimal as a quantity; null where it does not fit: a cast alone would round it. #}
{% macro fitting_quantity(text) -%}
    case
        when not {{ text }} rlike r'\.[0-9]{18}[0-9]*[1-9]'
            and not {{ text }} rlike r'\A\+?0*[1-9][0-9]{15}'
            then try_cast({{ text }} as decimal(33, 18))::decimal(38, 18)
    end
{%- endmacro %}

{# A decimal with an exponent as the same number without one: 2.5e-3 is 0.0025. #}
{% macro without_exponent(text) -%}
    {% set digits = "replace(replace(regexp_replace(" ~ text ~ ", '[eE].*$', ''), '.', ''), '+', '')" %}
    {% set point -%}
        (length(regexp_extract({{ text }}, '^[+]?([0-9]*)', 1))
        + cast(regexp_extract({{ text }}, '[eE][+]?(-?[0-9]+)$', 1) as int))
    {%- endset %}
    {% set padded -%}
        repeat('0', cast(greatest(1 - {{ point }}, 0) as int)) || {{ digits }}
        || repeat('0', cast(greatest({{ point }} - length({{ digits }}), 0) as int))
    {%- endset %}
    {% set whole = 'cast(greatest(' ~ point ~ ', 1) as int)' -%}
    (substr({{ padded }}, 1, {{ whole }}) || '.' || substr({{ padded }}, {{ whole }} + 1))
{%- endmacro %}

{% macro spark__nearest_rank(percent, value, condition) -%}
    get(
        array_sort(array_agg({{ value }}) filter (where {{ condition }})),
        (({{ percent }} * count({{ value }}) filter (where {{ condition }}) + 99) div 100)::int - 1
    )
{%- endmacro %}

{% macro spark__cheap_hash() -%}
    xxhash64({{ varargs | join(', ') }})
{%- endmacro %}

{% macro spark__each_number(first, last) -%}
    explode(case
        when {{ first }} < {{ last }}
            then sequence(({{ first }})::bigint, ({{ last }})::bigint - 1)
        else cast(array() as array<bigint>)
    end)
{%- endmacro %}

{% macro spark__last_known(value) -%}
    last_value({{ value }}, true)
{%- endmacro %}

{% macro spark__exclude() -%}
    except ({{ varargs | join(', ') }})
{%- endmacro %}
