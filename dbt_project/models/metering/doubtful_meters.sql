-- grain: meter that may have been unable to read an event of the month's folder. Where all could be
-- read, none is read again.
with
-- a counter's readings are counted from its first window on
begun as (
    select windows.meter_id
    from {{ ref('usage_windows') }} as windows
    cross join {{ ref('stg_run') }} as run
    where windows.window_start <= run.month_start
)

select *
from {{ ref('stg_catalog__meters') }}
where
    property is not null
    and aggregation <> 'count'
    and meter_id in (
        select meter_id from {{ ref('customer_usage') }} where unreadable_count > 0
        union all
        select meter_id from {{ ref('stg_catalog__meters') }}
        where aggregation = 'counter' and meter_id not in (select meter_id from begun)
    )
