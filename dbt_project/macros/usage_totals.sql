{# Every aggregation over readings, for each group of `keys`. Sums of millions of rows are one pass;
   what has to collect or order the values, or may have been corrected, is another, over the few
   meters that ask for it. #}
{% macro totals_by(keys, readings) -%}
    select
        {{ keys | join(', ') }},
        count(*) filter (where {{ is_read() }}) as event_count,
        0 as correction_count,
        count(*) filter (where not ({{ is_read() }})) as unreadable_count,
        sum(value) filter (where aggregation <> 'count') as value_sum,
        null as value_max,
        null as value_latest,
        null as unique_values,
        null as value_percentile
    from {{ readings }}
    where aggregation in ({{ aggregations_where('adds_up') }})
    group by {{ keys | join(', ') }}
    union all
    {{ gauge_totals_by(keys, readings) }}
{%- endmacro %}

{# Whether the meter could read the event. #}
{% macro is_read() -%}
    aggregation = 'count' or value is not null or unique_value is not null
{%- endmacro %}

{# The same of the meters that do not add up. #}
{% macro gauge_totals_by(keys, readings) -%}
    select
        {{ keys | join(', ') }},
        count(*) filter (where is_read and not is_correction) as event_count,
        count(*) filter (where is_in_force and is_correction) as correction_count,
        count(*) filter (where not is_read) as unreadable_count,
        null as value_sum,
        max(value) filter (where is_in_force and aggregation = 'max') as value_max,
        max_by(value, (occurred_at, is_correction, source_file, source_row)) filter (
            where is_in_force and value is not null and (aggregation = 'latest' or is_split)
        ) as value_latest,
        count(distinct unique_value) filter (
            where is_in_force and aggregation = 'unique_count'
        ) as unique_values,
        {{ nearest_rank(
            'max(percentile)', 'value', 'is_in_force and value is not null and percentile is not null'
        ) }} as value_percentile
    from ({{ with_corrections(keys, readings) }}) as corrected
    group by {{ keys | join(', ') }}
{%- endmacro %}

{# Readings of gauges, and whether each is in force: a correction replaces the readings of its instant
   with the same keys and group, and of several corrections all but the last. #}
{% macro with_corrections(keys, readings) -%}
    {%- set series = keys + (['group_values'] if 'group_values' not in keys else []) + ['occurred_at'] %}
    select
        readings.*,
        readings.value is not null or readings.unique_value is not null as is_read,
        corrections.last_row is null
        or (readings.is_correction and readings.source_row = corrections.last_row) as is_in_force
    from {{ readings }}
    left join (
        select {{ series | join(', ') }}, max(source_row) as last_row
        from {{ readings }}
        where is_correction and (value is not null or unique_value is not null)
        group by {{ series | join(', ') }}
    ) as corrections
        on
            {%- for name in series %}
            {{ 'and ' if not loop.first }}readings.{{ name }} is not distinct from corrections.{{ name }}
            {%- endfor %}
    where readings.aggregation not in ({{ aggregations_where('adds_up') }})
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
