{# The aggregations with a trait (vars in dbt_project.yml), as a list of texts. #}
{% macro aggregations_where(trait) -%}
    {%- set names = [] -%}
    {%- for name in var('aggregations') if var('aggregations')[name][trait] -%}
        {%- if name == 'percentile' -%}
            {%- for percent in range(1, 100) -%}{%- do names.append("'p" ~ percent ~ "'") -%}{%- endfor -%}
        {%- else -%}
            {%- do names.append("'" ~ name ~ "'") -%}
        {%- endif -%}
    {%- endfor -%}
    {{ names | join(', ') }}
{%- endmacro %}

{# True for the name of a percentile, `p1` to `p99`. #}
{% macro is_percentile(aggregation) -%}
    {{ aggregation }} in (
        {%- for percent in range(1, 100) %}'p{{ percent }}'{{ ', ' if not loop.last }}{% endfor -%}
    )
{%- endmacro %}
