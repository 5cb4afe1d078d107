-- grain: rejected input row of the month
with
events as (select * from {{ ref('stg_usage__events') }}),
run as (select * from {{ ref('stg_run') }}),

rejected as (
    select source_file, source_row, event_id, rejection_reason as reason, raw, usage_month
    from events
    where rejection_reason is not null
    union all
    select events.source_file, events.source_row, events.event_id, repeated.verdict, raw, events.usage_month
    from events
    inner join {{ ref('repeated_events') }} as repeated
        on events.source_file = repeated.source_file and events.source_row = repeated.source_row
    where repeated.verdict = 'conflicting_duplicate'
)

select
    run.billing_month,
    rejected.source_file,
    rejected.source_row::bigint as source_row,
    rejected.event_id,
    rejected.reason,
    rejected.raw
from rejected
inner join run on rejected.usage_month = run.billing_month
