{{ config(materialized='view') }}
-- grain: recurring fee that is due on this month's invoice: subscription × time with one plan and
-- quantity × period × price version
with
prices as (select * from {{ ref('stg_catalog__prices') }} where meter_id is null),

priced as (
    select
        fee.*,
        prices.price_id,
        prices.valid_from,
        -- in advance, a price with an interval keeps the version of its period's first instant
        case when fee.timing = 'advance' then prices.price_interval end is not null as keeps_version,
        prices.valid_from as cut_from,
        prices.valid_to as cut_to
    from {{ ref('fee_periods') }} as fee
    inner join prices
        on fee.plan_id = prices.plan_id
        and fee.timing = prices.timing
        and fee.prorate = prices.prorate
        and fee.price_interval is not distinct from prices.price_interval
),

valid as (
    select
        * replace (
            case when not keeps_version then cut_from end as cut_from,
            case when not keeps_version then cut_to end as cut_to
        )
    from priced
    where
        not keeps_version
        or (coalesce(cut_from <= begins_at, true) and coalesce(cut_to > begins_at, true))
),

fees as (
    select
        kind, customer_id, subscription_id, subscription_number, customer_currency, plan_id,
        billing_period_start, period_us as whole_us, price_id, valid_from, prorate,
        greatest(due_start, coalesce(trial_ends_at, due_start), coalesce(cut_from, due_start))
            as period_start,
        least(due_end, coalesce(cut_to, due_end)) as period_end,
        -- where a fee is not prorated, giving back depends on whether its period was reached
        greatest(begins_at, coalesce(trial_ends_at, begins_at), coalesce(cut_from, begins_at))
            as charged_start,
        month_sold_until,
        quantity,
        exact(quantity) as exact_quantity,
        0 as event_count,
        0 as correction_count,
        true as is_share_of_amount
    from valid
)

select * exclude (charged_start, prorate)
from fees
where
    period_start < period_end
    and (prorate or kind <> 'advance_credit' or charged_start >= period_start)
