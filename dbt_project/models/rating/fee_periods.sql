{{ config(materialized='view') }}
-- grain: subscription × time with one plan and quantity × period for which a recurring fee is due on
-- this month's invoice, by kind; of fees that are prorated, and of those that are not

-- Kinds:
--   arrears         the period that ends in the month
--   advance         the coming period, in full, if the plan goes on after this period
--   advance_start   what could not be charged in advance: the plan, or another quantity, begins in
--                   the period
--   advance_credit  the unused rest of what was charged in advance and ended early
with
periods as (select * from {{ ref('billing_periods') }}),
fees as (select * from {{ ref('subscription_fees') }}),

cut as (
    select
        periods.*,
        fees.quantity,
        true as prorate,
        fees.starts_at as fee_starts_at,
        fees.ends_at as fee_ends_at
    from periods
    inner join fees
        on periods.subscription_id = fees.subscription_id
        and periods.subscription_number = fees.subscription_number
        and periods.plan_number = fees.plan_number
),

-- what is not prorated is not cut by a change of quantity: the first one in the period counts
whole as (
    select * replace (false as prorate, starts_at as fee_starts_at, ends_at as fee_ends_at)
    from cut
    where
        fee_starts_at <= greatest(period_start, starts_at)
        and coalesce(fee_ends_at > greatest(period_start, starts_at), true)
),

fee_times as (
    select * from cut
    union all by name
    select * from whole
),

parts as (
    select
        *,
        greatest(period_start, fee_starts_at) as part_start,
        least(period_end, coalesce(fee_ends_at, period_end)) as part_end
    from fee_times
    where part_start < part_end
),

coming as (
    select cut.* replace (timings.prorate as prorate)
    from cut
    cross join (values (true), (false)) as timings (prorate)
    where fee_starts_at <= period_end and coalesce(fee_ends_at > period_end, true)
)

select *, 'arrears' as kind, 'arrears' as timing,
    part_start as due_start, part_end as due_end, period_us as whole_us
from parts
union all by name
select *, 'advance_start' as kind, 'advance' as timing,
    part_start as due_start, part_end as due_end, period_us as whole_us
from parts
where fee_starts_at > period_start or starts_at = period_start
union all by name
select *, 'advance' as kind, 'advance' as timing,
    period_end as due_start, next_period_end as due_end, next_period_us as whole_us
from coming
union all by name
select *, 'advance_credit' as kind, 'advance' as timing,
    part_end as due_start, period_end as due_end, period_us as whole_us
from parts
where
    starts_at < period_start
    and fee_starts_at <= period_start
    and part_end < period_end
