-- grain: rejected input row of the month
with
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
    suspects.source_file,
    suspects.source_row::bigint as source_row,
    suspects.event_id,
    rejected.reason,
    suspects.raw
from {{ ref('suspect_rows') }} as suspects
inner join rejected on suspects.row_id = rejected.row_id
inner join run on suspects.usage_month = run.billing_month
