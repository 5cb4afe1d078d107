{{ config(materialized='view') }}
-- grain: subscription × billing period × time with one plan and quantity in which the period is
-- subscribed; of fees that are prorated, and of those that are not
with
fees as (select * from {{ ref('subscription_fees') }}),

-- what changes in this time is settled on this month's invoice
periods as (
    select periods.*, run.month_start as settled_from, run.month_end as settled_until
    from {{ ref('plan_periods') }} as periods
    cross join {{ ref('stg_run') }} as run
    union all
    select *, period_start as settled_from, period_end as settled_until
    from {{ ref('thirty_day_periods') }}
),

cut as (
    select
        periods.*,
        greatest(periods.period_start, periods.starts_at) as begins_at,
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
    where fee_starts_at <= begins_at and coalesce(fee_ends_at > begins_at, true)
),

fee_times as (
    select * from cut
    union all by name
    select * from whole
)

select
    *,
    greatest(period_start, fee_starts_at) as part_start,
    least(period_end, coalesce(fee_ends_at, period_end)) as part_end,
    fee_starts_at > begins_at as begins_inside,
    -- an end belongs to the month before it, the beginning of another quantity to the one after it
    coalesce(
        case
            when fee_ends_at = ends_at then fee_ends_at <= settled_until
            else fee_ends_at < settled_until
        end,
        false
    ) as has_ended,
    -- whether this invoice is the first that charges for it in advance
    case
        when fee_starts_at > begins_at
            then fee_starts_at >= settled_from and fee_starts_at < settled_until
        else
            starts_at >= settled_from
            and begins_at >= settled_from
            and begins_at < settled_until
    end as is_first_charged
from fee_times
where
    fee_starts_at < period_end
    and coalesce(fee_ends_at > period_start, true)
