-- grain: usage row that cannot be billed for what it says by itself, with the reason. A table of
-- row ids: what reads events later leaves these out, and need not look at each row's values again.
select
    usage_month,
    row_id,
    rejection_reason
from {{ ref('stg_usage__events') }}
where rejection_reason is not null
