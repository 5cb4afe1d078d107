{#
  What goes from DuckDB to Spark and back: Parquet files, written and read by DuckDB
  (`dbt run-operation`; billing_pipeline/rating/spark.py calls them in order).
#}

{# Every source into `folder`, a folder of Parquet files each. JSON objects are parsed here and rows
   as given written out, by the rules of usage_values.sql, once for all. #}
{% macro export_raw(folder) %}
    {% set folder = folder | replace("'", "''") %}
    {% for source in graph.sources.values() if source.source_name == 'raw' %}
        {% set columns = adapter.get_columns_in_relation(
            api.Relation.create(schema='raw', identifier=source.name)
        ) | map(attribute='name') | list %}
        {% set parsed = [] %}
        {% for name in columns if name == 'properties' %}
            {% do parsed.append(json_texts(name) ~ ' as ' ~ name) %}
        {% endfor %}
        {% set excluded = '' %}
        {% if 'given_text' in columns %}
            {% do parsed.append(given_text() ~ ' as given_text') %}
            {% set others = [] %}
            {% for name in columns if name.startswith('given_') and name != 'given_text' %}
                {% do others.append(name) %}
            {% endfor %}
            {% set excluded = ' exclude (' ~ others | join(', ') ~ ')' %}
        {% endif %}
        {% set replaced = ' replace (' ~ parsed | join(', ') ~ ')' if parsed else '' %}
        {% do run_query(
            "copy (select *" ~ excluded ~ replaced ~ " from raw." ~ source.name ~ ") to '" ~ folder ~ '/'
            ~ source.name ~ "' (format parquet, compression zstd, file_size_bytes '256MB')"
        ) %}
    {% endfor %}
{% endmacro %}

{% macro json_texts(object) -%}
    case when {{ object }} is not null and {{ object }} <> '{}' then {
        'texts': map_from_entries(list_transform(
            -- of a key that stands twice, the first
            list_filter(
                json_keys({{ object }}),
                lambda k, place: list_position(json_keys({{ object }}), k) = place
            ),
            lambda k: {
                'k': '/' || replace(replace(k, '~', '~0'), '/', '~1'),
                'v': json_extract_string(
                    {{ object }}, '/' || replace(replace(k, '~', '~0'), '/', '~1')
                )
            }
        )),
        'content': {{ properties_content(object) }}
    } end
{%- endmacro %}

{# The tables that Spark built in `folder` as the tables of the same models here. Spark has no
   HUGEINT: its DECIMAL(38, 0) is one. #}
{% macro import_metering(folder) %}
    {% set folder = folder | replace("'", "''") %}
    {% for model in metering_tables() %}
        {% set files = "read_parquet('" ~ folder ~ '/' ~ model ~ "/*.parquet')" %}
        {% set columns = [] %}
        {% for column in run_query('describe select * from ' ~ files).rows %}
            {% do columns.append(
                column[0] ~ '::' ~ column[1] | replace('DECIMAL(38,0)', 'HUGEINT') ~ ' as ' ~ column[0]
            ) %}
        {% endfor %}
        {% do run_query(
            'create or replace table ' ~ model ~ ' as select ' ~ columns | join(', ') ~ ' from ' ~ files
        ) %}
    {% endfor %}
{% endmacro %}

{% macro metering_tables() %}
    {% set names = [] %}
    {% for node in graph.nodes.values() if node.resource_type == 'model'
        and node.config.materialized == 'table'
        and (node.fqn[1] == 'metering' or 'reads_events' in node.tags) %}
        {% do names.append(node.name) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}
