select
    billing_month,
    source_file,
    reason,
    count(*) as rows,
    min(source_row) as first_row
from {{ all_months(ref('usage_rejections')) }}
group by all
