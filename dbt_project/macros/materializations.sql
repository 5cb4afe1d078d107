{#
  Tables and views made under their own names, in one transaction each.

  dbt builds a relation beside the one that it will replace, renames both and drops the former one,
  so that nobody finds it missing meanwhile. A month's warehouse is made anew for each run and read
  by nobody before its checks have passed (what was published stays), so that would only be five
  statements for one. Where someone calls dbt by hand on a warehouse that is there, the former
  relation is dropped first.
#}
{% materialization table, adapter='duckdb' %}
    {{ return(made_under_its_name('table')) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {{ return(made_under_its_name('view')) }}
{% endmaterialization %}

{% macro made_under_its_name(type) -%}
    {%- set relation = this.incorporate(type=type) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ drop_relation_if_exists(load_cached_relation(this)) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') -%}
        {%- if type == 'table' -%}
            create table {{ relation }} as (
                {{ sql }}
            );
        {%- else -%}
            {{ get_create_view_as_sql(relation, sql) }}
        {%- endif -%}
    {%- endcall %}
    {#- of a view, dbt's macro that makes it has asked that of the query -#}
    {% if type == 'table' %}{% do assert_contract(relation) %}{% endif %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [relation]}) }}
{%- endmacro %}

{# Fails, and with it the transaction, where a table is not what its contract declares: names, types
   and order of its columns. dbt asks that of the query before it runs, and for it plans the query
   twice more. #}
{% macro assert_contract(relation) -%}
    {%- if config.get('contract').enforced -%}
        {%- set declared = [] -%}
        {%- for column in model.columns.values() -%}
            {%- do declared.append(column.name ~ ' ' ~ column.data_type | upper) -%}
        {%- endfor -%}
        {%- set made = format_columns(adapter.get_columns_in_relation(relation))
            | map(attribute='formatted') | list -%}
        {%- if made != declared -%}
            {%- do exceptions.raise_compiler_error(
                relation.identifier ~ ' breaks its contract. Declared: ' ~ declared | join(', ')
                ~ '. Made: ' ~ made | join(', ')
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
