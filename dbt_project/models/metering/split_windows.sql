-- grain: window of a gauge that is measured for each group or bucket; the sum of their values
with
numbered as (
    select
        *,
        count(value_latest) over (
            partition by window_id, group_values order by place, bucket_start
            rows between unbounded preceding and current row
        ) as value_number
    from {{ ref('window_parts') }}
),

held as (
    select
        *,
        max(value_latest) over (partition by window_id, group_values, value_number) as last_value
    from numbered
),

opened as (
    select
        *,
        lag(last_value) over (
            partition by window_id, group_values order by place, bucket_start
        ) as value_before
    from held
),

measured as (
    select
        opened.*,
        windows.aggregation,
        case
            when windows.is_carried or windows.bucket is null then opened.value_before
        end as opening
    from opened
    inner join {{ ref('usage_windows') }} as windows on opened.window_id = windows.window_id
    where opened.place = 1
)

select
    window_id,
    sum(coalesce(case aggregation
        when 'max' then greatest(value_max, opening)
        when 'latest' then coalesce(value_latest, opening)
        when 'unique_count' then unique_values::decimal(38, 18)
        else value_percentile
    end, 0))::decimal(38, 18) as quantity
from measured
group by window_id
