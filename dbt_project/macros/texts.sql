{# An amount as people write it: $56.78, €8.00, ¥1234, else CHF 12.00. #}
{% macro money_text(amount, currency, exponent) -%}
    case when {{ amount }} < 0 then '-' else '' end
    || case {{ currency }}
        when 'USD' then '$' when 'EUR' then '€' when 'GBP' then '£' when 'JPY' then '¥'
        else {{ currency }} || ' '
    end
    || {{ fixed_text('abs(' ~ amount ~ ')', exponent) }}
{%- endmacro %}

{# An amount with exactly its currency's number of places, which it does not exceed. To cut zeros off
   the text of four places takes a third of the time of casting the number to fewer. #}
{% macro fixed_text(amount, exponent) -%}
    {%- set text = '(' ~ amount ~ ')::decimal(38, 4)::varchar' -%}
    case {{ exponent }}
        when 0 then left({{ text }}, -5)
        when 2 then left({{ text }}, -2)
        when 3 then left({{ text }}, -1)
        else {{ text }}
    end
{%- endmacro %}

{# An amount for a sentence over all months, which has no currency's exponent: 33444.39, 10.50, 152. #}
{% macro short_amount(amount) -%}
    regexp_replace(({{ amount }})::decimal(38, 4)::varchar, '([.]0000|00|0)$', '')
{%- endmacro %}

{# A number for such a sentence: 50, 0.25. #}
{% macro short_number(number) -%}
    regexp_extract(({{ number }})::varchar, '^-?[0-9]+([.][0-9]*[1-9])?')
{%- endmacro %}

{# How an amount ends: rounded to 0.29 USD. #}
{% macro rounded_text(amount, exponent='exponent', currency='currency') -%}
    'rounded to ' || {{ fixed_text(amount, exponent) }} || ' ' || {{ currency }}
{%- endmacro %}

{# A part of a period, both in microseconds, as a factor in seconds. #}
{% macro share_text(part_us, whole_us) -%}
    '× ' || plain(({{ part_us }})::decimal(38, 6) * 0.000001::decimal(7, 6))
    || ' / ' || plain(({{ whole_us }})::decimal(38, 6) * 0.000001::decimal(7, 6))
    || ' seconds of the period'
{%- endmacro %}

{# The month that a line charges for: the coming one of an advance fee. #}
{% macro charged_month() -%}
    case
        when kind <> 'advance' then billed_month_name
        when period_start = month_end then coming_month_name
        -- of 30 days
        else {{ month_name('timezone(timezone, period_start)') }}
    end
{%- endmacro %}

{# January 2024, from one of its days. #}
{% macro month_name(day) -%}
    strftime({{ day }}, '%B %Y')
{%- endmacro %}

{# `text` with its placeholders filled in: pairs of a placeholder and its value. A value is only
   made where the text names it. #}
{% macro fill_placeholders(text, values) -%}
    {%- for _ in values %}replace({% endfor %}{{ text }}
    {%- for placeholder, value in values %}, '{{ placeholder }}', case
        when contains({{ text }}, '{{ placeholder }}') then {{ value }} else ''
    end)
    {%- endfor %}
{%- endmacro %}

{# A sentence that a person can recompute by hand, step by step, from the columns of rated_charges. A
   share of the amount comes after its bounds, which are those of the whole period. #}
{% macro calculation_text() -%}
    concat_ws(
        '; ',
        case
            when meter_id is null then 'quantity ' || exact_text(exact_quantity)
            else event_count || ' events'
                || case
                    when correction_count > 0 then ' and ' || correction_count || ' corrections'
                    else ''
                end
                || ', metered ' || exact_text(exact_quantity)
        end,
        case
            when quantity_rounding <> 'none'
                then 'rounded ' || quantity_rounding || ' to ' || exact_text(rounded_quantity)
        end,
        case
            when included_quantity > 0
                then exact_text(included) || ' included'
                    || case
                        when included_per = 'seat'
                            then ' (' || plain(included_quantity) || ' per seat)'
                        else ''
                    end
                    || ', ' || exact_text(billable) || ' billable'
        end,
        charge_model || ': ' || model_text,
        case
            when is_shared and not is_share_of_amount
                then 'included, minimum and maximum ' || {{ share_text('part_us', 'whole_us') }}
        end,
        case when minimum_units > shared_units then 'raised to the minimum of ' || plain(minimum_amount) end,
        case when maximum_units < shared_units then 'held to the maximum of ' || plain(maximum_amount) end,
        case
            when is_shared and is_share_of_amount then {{ share_text('part_us', 'whole_us') }}
        end,
        case when kind = 'advance_credit' then 'given back, as it was charged in advance' end,
        'exactly ' || plain(exact_amount) || ', ' || {{ rounded_text('amount') }}
    )
{%- endmacro %}

{# The invoice of a customer, a currency and a month: the same on every run and machine. #}
{% macro invoice_id(customer_id, currency, billing_month) -%}
    'in_' || strftime({{ billing_month }}, '%Y%m') || '_'
    || left(md5(concat_ws('|', {{ customer_id }}, {{ currency }}, {{ billing_month }})), 16)
{%- endmacro %}
