-- grain: event × meter that could not read it, and metered quantities that corrections took
-- below zero; the event counts for the other meters
with
-- the totals know which meters could not read an event: where all could, no event is read again
unreadable_meters as (
    select *
    from {{ ref('stg_catalog__meters') }}
    where meter_id in (
        select windows.meter_id
        from {{ ref('window_totals') }} as totals
        inner join {{ ref('usage_windows') }} as windows on totals.window_id = windows.window_id
        where totals.unreadable_count > 0
    )
),

readings as (
    {{ readings_by('unreadable_meters') }}
),

unreadable as (
    select distinct
        meter_id, customer_id, event_id, source_file, source_row, usage_month,
        case when property_value is null then 'missing_property' else 'invalid_property' end as reason
    from (
        {{ measured('readings') }}
    ) as measured
    where
        property is not null
        and aggregation <> 'count'
        and value is null
        and unique_value is null
),

negative as (
    select distinct meter_id, customer_id
    from {{ ref('measured_windows') }}
    where quantity < 0
)

select
    run.billing_month,
    issues.meter_id,
    issues.customer_id,
    issues.event_id,
    issues.source_file,
    issues.source_row::bigint as source_row,
    issues.reason
from (
    select meter_id, customer_id, event_id, source_file, source_row, usage_month, reason
    from unreadable
    union all
    select meter_id, customer_id, null, null, null, null, 'quantity_below_zero' as reason
    from negative
) as issues
cross join {{ ref('stg_run') }} as run
where issues.usage_month is null or issues.usage_month = run.billing_month
