{# Whether a coupon counts on the invoice of a billing month, by its first one
   `months_run.first_month` and the columns of `coupons`. #}
{% macro coupon_counts(billing_month) -%}
    {%- set months_since = "datediff('month', months_run.first_month, " ~ billing_month ~ ")" -%}
    case coupons.duration
        when 'forever' then true
        when 'once' then {{ months_since }} = 0
        when 'repeating' then {{ months_since }} between 0 and coupons.duration_in_months - 1
    end
{%- endmacro %}

{# Whole parts that add up to `total`: each line's part is cut off to a whole number, and what is
   then missing goes to the largest remainders, one each, among equal ones by `line_id`. #}
{% macro largest_remainder(total, whole, remainder, partition) -%}
    {{ whole }} + case
        when row_number() over (partition by {{ partition }} order by {{ remainder }} desc, line_id)
            <= {{ total }} - sum({{ whole }}) over (partition by {{ partition }})
            then 1
        else 0
    end
{%- endmacro %}
