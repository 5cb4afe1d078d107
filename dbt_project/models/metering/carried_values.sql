-- grain: window into which a gauge's last value continues × group that has one; that value
with
numbered as (
    select
        *,
        count(value) over (
            partition by series_id, group_values
            order by occurred_at, place, source_file, source_row
            rows between unbounded preceding and current row
        ) as value_number
    from {{ ref('carried_steps') }}
),

held as (
    select
        *,
        max(value) over (partition by series_id, group_values, value_number) as carried_value,
        min(occurred_at) over (partition by series_id, group_values, value_number) as carried_from
    from numbered
    where value_number > 0
)

select window_id, group_values, carried_value, carried_from
from held
where window_id is not null and (carried_since is null or carried_from >= carried_since)
