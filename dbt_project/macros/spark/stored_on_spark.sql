{# How a model is built that several others read. DuckDB plans it as part of each query that reads
   it. Spark would plan it, and everything it reads, once for each mention, which took minutes for one
   query: there it is a table. Not for views over all events. #}
{% macro stored_on_spark(on_duckdb='view') -%}
    {{ return('table' if target.type != 'duckdb' else on_duckdb) }}
{%- endmacro %}
