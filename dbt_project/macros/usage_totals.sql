{# Every aggregation over readings, for each group of `keys`. Sums of millions of rows are one pass;
   what has to collect or order the values is another, over the few meters that ask for it. #}
{% macro totals_by(keys, readings) -%}
    {%- set is_read = "aggregation = 'count' or value is not null or unique_value is not null" %}
    select
        {{ keys | join(', ') }},
        count(*) filter (where {{ is_read }}) as event_count,
        count(*) filter (where not ({{ is_read }})) as unreadable_count,
        sum(value) filter (where aggregation = 'sum') as value_sum,
        max(value) filter (where aggregation = 'max') as value_max,
        null as value_latest,
        null as unique_values,
        null as value_p95
    from {{ readings }}
    where aggregation in ('count', 'sum', 'max')
    group by {{ keys | join(', ') }}
    union all
    select
        {{ keys | join(', ') }},
        count(*) filter (where {{ is_read }}) as event_count,
        count(*) filter (where not ({{ is_read }})) as unreadable_count,
        null as value_sum,
        null as value_max,
        max_by(value, (occurred_at, source_file, source_row)) filter (
            where aggregation = 'latest' and value is not null
        ) as value_latest,
        count(distinct unique_value) filter (
            where aggregation = 'unique_count'
        ) as unique_values,
        {{ nearest_rank(95, 'value', "aggregation = 'p95' and value is not null") }} as value_p95
    from {{ readings }}
    where aggregation not in ('count', 'sum', 'max')
    group by {{ keys | join(', ') }}
{%- endmacro %}

{# The nearest rank, in whole numbers: the ⌈percent × n / 100⌉-th smallest of the values. #}
{% macro nearest_rank(percent, value, condition) -%}
    {{ adapter.dispatch('nearest_rank')(percent, value, condition) }}
{%- endmacro %}

{% macro default__nearest_rank(percent, value, condition) -%}
    list_sort(list({{ value }}) filter (where {{ condition }}))[
        ({{ percent }} * count({{ value }}) filter (where {{ condition }}) + 99) // 100
    ]
{%- endmacro %}
