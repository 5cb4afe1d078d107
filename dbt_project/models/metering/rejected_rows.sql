-- grain: usage row that cannot be billed for what it says by itself, with the reason
select
    usage_month,
    row_id,
    rejection_reason
from {{ ref('suspect_rows') }}
where rejection_reason is not null
