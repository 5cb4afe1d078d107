{{ config(materialized='view') }}
-- grain: subscription × period for which a recurring fee is due on this month's invoice, by kind

-- Kinds:
--   arrears         the period that ends in the month
--   advance         the coming period, in full, if the subscription continues after this period
--   advance_start   the subscription's first period, which could not be charged in advance
--   advance_credit  the unused rest of a period that was charged in advance and ended early
with
periods as (select * from {{ ref('billing_periods') }})

select *, 'arrears' as kind, 'arrears' as timing,
    greatest(period_start, starts_at) as due_start,
    least(period_end, coalesce(ends_at, period_end)) as due_end,
    period_us as whole_us
from periods
union all by name
select *, 'advance_start' as kind, 'advance' as timing,
    greatest(period_start, starts_at) as due_start,
    least(period_end, coalesce(ends_at, period_end)) as due_end,
    period_us as whole_us
from periods
where starts_at >= period_start
union all by name
select *, 'advance' as kind, 'advance' as timing,
    period_end as due_start,
    next_period_end as due_end,
    next_period_us as whole_us
from periods
where ends_at is null or ends_at > period_end
union all by name
select *, 'advance_credit' as kind, 'advance' as timing,
    ends_at as due_start,
    period_end as due_end,
    period_us as whole_us
from periods
where starts_at < period_start and ends_at < period_end
