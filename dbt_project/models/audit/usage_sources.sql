-- grain: source of usage in the month; `other` is what matches no pattern
with
run as (select * from {{ ref('stg_run') }}),
files as (select * from {{ ref('usage_files') }}),
file_sources as (select * from {{ source('raw', 'usage_file_sources') }}),
meters as (select * from {{ ref('stg_catalog__meters') }}),

named as (
    select source, file_pattern, expected from {{ source('raw', 'sources') }}
    union all
    -- a company without meters waits for no usage
    select 'other' as source, null as file_pattern, null as expected
    where exists (select 1 from meters)
)

select
    run.billing_month,
    named.source,
    named.file_pattern,
    named.expected,
    count(file_sources.source_file)::bigint as file_count,
    coalesce(sum(files.accepted_rows), 0)::bigint as accepted_rows
from named
cross join run
left join file_sources on named.source = file_sources.source
left join files on file_sources.source_file = files.source_file
group by run.billing_month, named.source, named.file_pattern, named.expected
