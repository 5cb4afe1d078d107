{# Every row for which the expression is not true. #}
{% test holds(model, expression) %}
select * from {{ model }}
where not coalesce({{ expression }}, false)
{% endtest %}
