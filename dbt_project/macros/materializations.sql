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
            {{ create_table_as(False, relation, sql) }}
        {%- else -%}
            {{ get_create_view_as_sql(relation, sql) }}
        {%- endif -%}
    {%- endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [relation]}) }}
{%- endmacro %}
