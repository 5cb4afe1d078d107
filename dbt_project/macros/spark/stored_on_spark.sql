{# How a model is built that others read several times. DuckDB plans it within the query that reads
   it. Spark plans it anew for each mention, and all that it reads for each of its own, so that one
   query took minutes: there it is a table. Not for views over all events. #}
{% macro planned_once(on_duckdb='view') -%}
    {{ return('table' if target.type != 'duckdb' else on_duckdb) }}
{%- endmacro %}
