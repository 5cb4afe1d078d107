{# Every aggregation over readings, for each group of `keys`. Sums of millions of rows are one pass;
   what has to collect or order the values is another, over the few meters that ask for it. #}
{% macro totals_by(keys, readings) -%}
    {%- set read = "count(*) filter (
            where aggregation = 'count' or value is not null or unique_value is not null
        ) as event_count" %}
    select
        {{ keys | join(', ') }},
        {{ read }},
        sum(value) filter (where aggregation = 'sum') as value_sum,
        max(value) filter (where aggregation = 'max') as value_max
    from {{ readings }}
    where aggregation in ('count', 'sum', 'max')
    group by {{ keys | join(', ') }}
    union all by name
    select
        {{ keys | join(', ') }},
        {{ read }},
        arg_max(value, row(occurred_at, source_file, source_row)) filter (
            where aggregation = 'latest' and value is not null
        ) as value_latest,
        count(distinct unique_value) filter (
            where aggregation = 'unique_count'
        ) as unique_values,
        -- nearest rank, in whole numbers: the ⌈0.95 n⌉-th smallest
        list_sort(list(value) filter (where aggregation = 'p95' and value is not null))[
            (95 * count(value) filter (where aggregation = 'p95') + 99) // 100
        ] as value_p95
    from {{ readings }}
    where aggregation not in ('count', 'sum', 'max')
    group by {{ keys | join(', ') }}
{%- endmacro %}
