-- grain: window of a gauge that is measured for each group or bucket; the sum of their values
with
opened as (
    select
        parts.*,
        windows.aggregation,
        case
            when windows.is_carried or windows.bucket is null then
                {{ last_known('parts.value_latest') }} over (
                    partition by parts.window_id, parts.group_values
                    order by parts.place, parts.bucket_start
                    rows between unbounded preceding and 1 preceding
                )
        end as opening
    from {{ ref('window_parts') }} as parts
    inner join {{ ref('usage_windows') }} as windows on parts.window_id = windows.window_id
)

select
    window_id,
    sum(coalesce(case aggregation
        when 'max' then greatest(value_max, opening)
        when 'latest' then coalesce(value_latest, opening)
        when 'unique_count' then unique_values::decimal(38, 18)
        else value_percentile
    end, 0))::decimal(38, 18) as quantity
from opened
where place = 1
group by window_id
