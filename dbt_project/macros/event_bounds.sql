{# The quantity at which an event's own percentage comes to a bound: 100 × bound ÷ percentage, cut off
   after 18 places, which is as many as an event's value has. So `value > quantity` is the same as
   `value × percentage ÷ 100 > bound`, and where `value <= quantity` the event comes to the bound at
   most. No value has 17 digits before the point: what is beyond, and any bound of 0 %, is never
   reached. The intake holds bounds and percentages to what fits 38 digits here. #}
{% macro event_bound_quantity(bound, percentage) -%}
    case
        when {{ bound }} is null then null
        when coalesce({{ percentage }}, 0) = 0 then 10000000000000000::decimal(38, 18)
        when whole_quotient(100 * {{ in_pico(bound) }}, {{ in_pico(percentage) }}) >= 10000000000000000
            then 10000000000000000::decimal(38, 18)
        else exact_decimal(
            whole_quotient(100 * {{ in_pico(bound) }}, {{ in_pico(percentage) }})
            * 1000000000000000000
            + whole_quotient(
                (100 * {{ in_pico(bound) }}) % {{ in_pico(percentage) }} * 1000000000000000000,
                {{ in_pico(percentage) }}
            )
        )
    end
{%- endmacro %}

{# An amount of up to 12 places as a whole number of 10^-12. #}
{% macro in_pico(amount) -%}
    (exact_whole({{ amount }}::decimal(38, 18)) * 1000000000000
    + whole_quotient(exact_fraction({{ amount }}::decimal(38, 18)), 1000000))
{%- endmacro %}
