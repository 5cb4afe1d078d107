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
