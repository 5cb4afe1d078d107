{# The aggregations with a trait (vars in dbt_project.yml), as a list of texts. #}
{% macro aggregations_where(trait) -%}
    {%- set names = [] -%}
    {%- for name in var('aggregations') if var('aggregations')[name][trait] -%}
        {%- do names.append("'" ~ name ~ "'") -%}
    {%- endfor -%}
    {{ names | join(', ') }}
{%- endmacro %}
