-- grain: window; every aggregation over its events, in one pass
select
    window_id,
    count(*) filter (
        where aggregation = 'count' or value is not null or unique_value is not null
    ) as event_count,
    sum(value) filter (where aggregation = 'sum') as value_sum,
    max(value) filter (where aggregation = 'max') as value_max,
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
from {{ ref('metered_events') }}
group by window_id
