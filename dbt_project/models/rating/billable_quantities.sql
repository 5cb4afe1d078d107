-- grain: charge, before its price is applied: the billable quantity of one price for one
-- subscription and service period, and the period's share of the billing period; also of costs
with
prices as (select * from {{ ref('stg_catalog__rated_prices') }}),

due as (
    select * from {{ ref('due_fees') }}
    union all by name
    select * from {{ ref('used_quantities') }}
),

priced as (
    select
        'ch_' || left(md5(concat_ws(
            '|', due.subscription_id, due.price_id, due.kind, epoch_us(due.period_start)
        ) || coalesce(chr(10) || prices.inherited_by, '')), 24) as charge_id,
        due.* exclude (plan_id),
        due.plan_id as subscription_plan_id,
        prices.* exclude (
            price_id, plan_id, valid_from, valid_to, filter, filter_rest, timing, currency,
            inherited_by
        ),
        coalesce(prices.currency, due.customer_currency) as currency,
        (epoch_us(due.period_end) - epoch_us(due.period_start)) as part_us
    from due
    inner join prices
        on due.price_id = prices.price_id
        and due.plan_id = prices.plan_id
        and due.valid_from is not distinct from prices.valid_from
),

rounded as (
    select
        priced.*,
        exact_round_quantity(exact_quantity, quantity_rounding) as rounded_quantity,
        case
            when seats.whole_us is not null
                then exact_times_quantity(
                    exact_average(
                        seats.whole_us,
                        seats.fraction_us,
                        case
                            when prorate and not is_share_of_amount then priced.whole_us
                            else part_us
                        end
                    ),
                    included_quantity
                )
            -- usage of no subscription has no seats
            when included_per is not null then exact(0::decimal(38, 18))
            when prorate and not is_share_of_amount
                then exact_share(exact(coalesce(included_quantity, 0)), part_us, priced.whole_us)
            else exact(coalesce(included_quantity, 0))
        end as included
    from priced
    left join {{ ref('included_seats') }} as seats
        on priced.subscription_id = seats.subscription_id
        and priced.price_id = seats.price_id
        and priced.period_start = seats.window_start
)

select
    *,
    case
        when included.units = 0 and included.num = 0 then rounded_quantity
        else exact_minus(rounded_quantity, included)
    end as billable
from rounded
