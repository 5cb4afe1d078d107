-- grain: window into which a gauge's last value continues × group that has one; that value
with
held as (
    select
        *,
        {{ last_known('value') }} over steps as carried_value,
        {{ last_known('case when value is not null then occurred_at end') }} over steps as carried_from
    from {{ ref('carried_steps') }}
    window steps as (
        partition by series_id, group_values
        order by occurred_at, place, source_file, source_row
        rows between unbounded preceding and current row
    )
)

select window_id, group_values, carried_value, carried_from
from held
where
    window_id is not null
    and carried_value is not null
    and (carried_since is null or carried_from >= carried_since)
