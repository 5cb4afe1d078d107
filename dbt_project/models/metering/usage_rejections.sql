-- grain: rejected input row of the month
with
events as (select * from {{ source('raw', 'usage_events') }}),
run as (select * from {{ ref('stg_run') }}),
rejected as (
    select row_id, rejection_reason as reason from {{ ref('rejected_rows') }}
    union all
    select row_id, verdict as reason
    from {{ ref('repeated_events') }}
    where verdict = 'conflicting_duplicate'
)

select
    run.billing_month,
    events.source_file,
    events.source_row::bigint as source_row,
    events.event_id,
    rejected.reason,
    events.raw
from events
inner join rejected on events.row_id = rejected.row_id
inner join run on events.usage_month = run.billing_month
