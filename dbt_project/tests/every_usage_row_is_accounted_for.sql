{{ config(meta={'dagster': {'ref': {'name': 'usage_files'}}}) }}
-- rows read = accepted + rejected + duplicates, where accepted is counted from what is metered
with
accepted as (
    select events.source_file, count(*) as accepted_rows
    from {{ ref('accepted_events') }} as events
    inner join {{ ref('stg_run') }} as run on events.usage_month = run.billing_month
    group by events.source_file
)

select files.source_file
from {{ ref('usage_files') }} as files
left join accepted on files.source_file = accepted.source_file
where coalesce(accepted.accepted_rows, 0) <> files.accepted_rows
