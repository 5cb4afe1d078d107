-- grain: usage file of the month; rows read = accepted + rejected + duplicates
with
events as (select * from {{ source('raw', 'usage_events') }}),
run as (select * from {{ ref('stg_run') }}),

read_rows as (
    select source_file, count(*) as rows_read
    from events
    inner join run on events.usage_month = run.billing_month
    group by source_file
),

rejected as (
    select source_file, count(*) as rejected_rows
    from {{ ref('usage_rejections') }}
    group by source_file
),

duplicates as (
    select repeated.source_file, count(*) as duplicate_rows
    from {{ ref('repeated_events') }} as repeated
    where repeated.verdict = 'duplicate'
    group by repeated.source_file
)

select
    run.billing_month,
    read_rows.source_file,
    read_rows.rows_read::bigint as rows_read,
    (
        read_rows.rows_read - coalesce(rejected_rows, 0) - coalesce(duplicate_rows, 0)
    )::bigint as accepted_rows,
    coalesce(rejected_rows, 0)::bigint as rejected_rows,
    coalesce(duplicate_rows, 0)::bigint as duplicate_rows
from read_rows
cross join run
left join rejected on read_rows.source_file = rejected.source_file
left join duplicates on read_rows.source_file = duplicates.source_file
