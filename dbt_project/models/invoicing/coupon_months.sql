{{ config(materialized='view') }}
-- grain: subscription version × coupon that it names, with its place in their order; the month from
-- which its months are counted
with
months as (select * from {{ ref('stg_months') }}),

-- a fee in advance that the versions before have paid begins with the next period
sold as (
    select
        *,
        case
            when is_in_advance and period_start < starts_at and not begins_fees then period_end
            else period_start
        end as sold_from
    from {{ ref('first_paid_periods') }}
),

-- an instant of the month whose invoice charges the period: a fee in advance is charged with the
-- month before, of 30 days with the period before, and with its own where it was not known then
invoiced as (
    select
        sold.*,
        case when sold.billing_cycle <> '30_days' then begins.month_end end as month_end,
        case
            when sold.is_in_advance and sold.billing_cycle <> '30_days'
                then greatest(sold.starts_at, due.month_start - to_microseconds(1))
            when sold.is_in_advance and sold.starts_at < sold.period_start
                then sold.period_start - to_microseconds(1)
            when sold.billing_cycle = '30_days' then sold.period_end - to_microseconds(1)
            else least(sold.period_end, coalesce(sold.plan_ends_at, sold.period_end))
                - to_microseconds(1)
        end as invoiced_at
    from sold
    asof left join months as due on sold.sold_from >= due.month_start
    asof left join months as begins on sold.starts_at >= begins.month_start
),

-- in arrears only if time of the version is paid; in advance also if the plan ends before that, but
-- after the month of the invoice, which does not know it yet
versions as (
    select
        subscription_id, subscription_number, starts_at, next_starts_at,
        string_split(coupon_id, ';') as coupon_ids,
        min(invoiced_at) filter (
            where case
                when is_in_advance
                    then coalesce(invoiced_at < ends_at, true) and coalesce(
                        greatest(sold_from, least(paid_from, coalesce(month_end, invoiced_at)))
                        < plan_ends_at, true
                    )
                else coalesce(paid_from < ends_at, true)
            end
        ) as first_invoiced
    from invoiced
    group by all
),

named as (
    select
        * exclude (coupon_ids),
        unnest(coupon_ids) as coupon_id,
        unnest(range(1, len(coupon_ids) + 1)) as position
    from versions
),

-- the versions that name a coupon need not follow one another
counted as (
    select
        named.*,
        min(first_invoiced) over naming as counted_from
    from named
    window naming as (partition by subscription_id, subscription_number, coupon_id)
)

select
    counted.* exclude (first_invoiced, counted_from),
    -- without any invoice so far, or before the first month that is known, fifty years ago: from that
    coalesce(found.billing_month, (select min(billing_month) from months)) as first_month
from counted
asof left join months as found on counted.counted_from >= found.month_start
