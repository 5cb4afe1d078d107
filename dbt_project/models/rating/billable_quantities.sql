-- grain: charge, before its price is applied: the billable quantity of one price for one
-- subscription and service period, and the period's share of the billing period
with
prices as (select * from {{ ref('stg_catalog__prices') }}),
terms as (select * from {{ ref('stg_accounts__subscriptions') }}),
periods as (select * from {{ ref('billing_periods') }}),

fees as (
    select
        fee.kind, fee.customer_id, fee.subscription_id, fee.period_start as billing_period_start,
        fee.whole_us, prices.price_id, prices.valid_from,
        greatest(
            fee.due_start,
            coalesce(fee.trial_ends_at, fee.due_start),
            coalesce(prices.valid_from, fee.due_start)
        ) as period_start,
        least(fee.due_end, coalesce(prices.valid_to, fee.due_end)) as period_end,
        -- a fee that is not prorated is given back only if its service period had not begun
        greatest(
            fee.period_start,
            coalesce(fee.trial_ends_at, fee.period_start),
            coalesce(prices.valid_from, fee.period_start)
        ) as charged_start,
        fee.quantity,
        exact(fee.quantity) as exact_quantity,
        0 as event_count,
        0 as correction_count
    from {{ ref('fee_periods') }} as fee
    inner join prices
        on fee.plan_id = prices.plan_id
        and prices.meter_id is null
        and fee.timing = prices.timing
),

due_fees as (
    select fees.*
    from fees
    inner join prices
        on fees.price_id = prices.price_id
        and fees.valid_from is not distinct from prices.valid_from
    where
        fees.period_start < fees.period_end
        and (
            prices.prorate
            or fees.kind <> 'advance_credit'
            or fees.charged_start >= fees.period_start
        )
),

usage as (
    select
        'usage' as kind, windows.customer_id, windows.subscription_id,
        windows.billing_period_start, periods.period_us as whole_us, windows.price_id,
        windows.valid_from, windows.window_start as period_start,
        windows.window_end as period_end,
        greatest(windows.quantity, 0::decimal(38, 18)) as quantity, windows.exact_quantity,
        windows.event_count, windows.correction_count, windows.carried_from
    from {{ ref('measured_windows') }} as windows
    inner join periods
        on windows.subscription_id = periods.subscription_id
        and windows.billing_period_start = periods.period_start
    where not windows.is_trial
),

due as (
    select * exclude (charged_start) from due_fees
    union all by name
    select * from usage
),

priced as (
    select
        'ch_' || left(md5(concat_ws(
            '|', due.subscription_id, due.price_id, due.kind, epoch_us(due.period_start)
        )), 24) as charge_id,
        due.*,
        prices.* exclude (price_id, plan_id, valid_from, valid_to, filter, timing, currency),
        coalesce(prices.currency, terms.customer_currency) as currency,
        terms.plan_id as subscription_plan_id,
        (epoch_us(due.period_end) - epoch_us(due.period_start)) as part_us
    from due
    inner join prices
        on due.price_id = prices.price_id
        and due.valid_from is not distinct from prices.valid_from
    inner join terms on due.subscription_id = terms.subscription_id
),

rounded as (
    select
        *,
        exact_round_quantity(exact_quantity, quantity_rounding) as rounded_quantity,
        case
            when meter_id is not null and prorate
                then exact_share(exact(coalesce(included_quantity, 0)), part_us, whole_us)
            else exact(coalesce(included_quantity, 0))
        end as included
    from priced
)

select
    *,
    case
        when included.units = 0 and included.num = 0 then rounded_quantity
        else exact_minus(rounded_quantity, included)
    end as billable
from rounded
