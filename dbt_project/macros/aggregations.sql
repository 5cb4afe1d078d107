{# The aggregations with a trait (vars in dbt_project.yml), as a list of texts. #}
{% macro aggregations_where(trait) -%}
    {%- set names = [] -%}
    {%- for name, traits in var('aggregations').items() if traits[trait] -%}
        {%- do names.append("'" ~ name ~ "'") -%}
    {%- endfor -%}
    {{ names | join(', ') }}
{%- endmacro %}
