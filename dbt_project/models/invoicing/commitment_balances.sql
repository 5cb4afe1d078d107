-- grain: commitment whose term this month, or the next one, is in, or for whose term this month still
-- charges
select
    run.billing_month,
    sums.commitment_id,
    sums.customer_id,
    sums.kind,
    sums.currency,
    sums.starts_at,
    sums.ends_at,
    sums.amount::decimal(38, 12) as committed_amount,
    sums.spent::decimal(38, 4) as used_amount,
    greatest(sums.amount - sums.spent, 0)::decimal(38, 12) as remaining_amount,
    greatest(sums.spent - sums.amount, 0)::decimal(38, 12) as overage_amount,
    sums.missing_months
from {{ ref('commitment_sums') }} as sums
cross join {{ ref('stg_run') }} as run
