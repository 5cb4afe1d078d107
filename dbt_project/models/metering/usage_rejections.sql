-- grain: rejected input row of the month
with
events as (select * from {{ ref('stg_usage__events') }}),
run as (select * from {{ ref('stg_run') }}),
conflicts as (
    select row_id, verdict
    from {{ ref('repeated_events') }}
    where verdict = 'conflicting_duplicate'
)

select
    run.billing_month,
    events.source_file,
    events.source_row::bigint as source_row,
    events.event_id,
    coalesce(events.rejection_reason, conflicts.verdict) as reason,
    events.raw
from events
inner join run on events.usage_month = run.billing_month
left join conflicts on events.row_id = conflicts.row_id
where coalesce(events.rejection_reason, conflicts.verdict) is not null
