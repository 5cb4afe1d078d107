{# The length of a `30_days` period, in microseconds. #}
{% macro thirty_days() %}2592000000000{% endmacro %}

{# How many whole periods of 30 days lie between a subscription's start and an instant: the number
   of the period with that instant, counted from 0. #}
{% macro cycle_number(starts_at, instant) -%}
    whole_quotient(epoch_us({{ instant }}) - epoch_us({{ starts_at }}), {{ thirty_days() }})
{%- endmacro %}

{# When the period of 30 days of a number begins. #}
{% macro cycle_start(starts_at, number) -%}
    {{ starts_at }} + to_microseconds({{ number }} * {{ thirty_days() }})
{%- endmacro %}
