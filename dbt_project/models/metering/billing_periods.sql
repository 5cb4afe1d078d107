-- grain: subscription × plan × interval of a price × full billing period that is invoiced in arrears
-- in this month: one that ends, or is cut by the plan's end, in (month start, month end]. Periods of
-- 30 days keep their date when they are cut.
select periods.*
from {{ ref('plan_periods') }} as periods
cross join {{ ref('stg_run') }} as run
where
    (periods.period_end <= run.month_end or periods.ends_at <= run.month_end)
    and (periods.ends_at is null or periods.ends_at > run.month_start)
union all
select * from {{ ref('thirty_day_periods') }}
