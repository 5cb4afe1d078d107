select
    billing_month,
    known_from,
    known_to,
    {{ known_column('source_file') }},
    {{ known_column('rows_read', 'bigint') }},
    {{ known_column('accepted_rows', 'bigint') }},
    {{ known_column('rejected_rows', 'bigint') }},
    {{ known_column('duplicate_rows', 'bigint') }}
from {{ all_months(source('as_known', 'known_rows')) }}
where table_name = 'usage_files'
