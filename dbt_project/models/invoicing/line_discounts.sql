-- grain: line × coupon that counts for it: what the coupons before it have left of the line, and the
-- line's share of the discount
with recursive
lines as (select * from {{ ref('coupon_lines') }}),

spread as (
    select
        line_id, subscription_id, subscription_number, currency, 0 as position, false as is_covered,
        minor_amount as minor_left, 0::hugeint as minor_share
    from lines
    where position = 1
    union all
    -- one coupon after another: each finds what the ones before have left
    (
        with
        next_coupon as (
            select
                lines.*,
                spread.minor_left - spread.minor_share as minor_left,
                case when lines.is_covered then spread.minor_left - spread.minor_share else 0 end
                    as minor_covered,
                sum(minor_covered) over of_subscription as covered_sum
            from spread
            inner join lines
                on spread.line_id = lines.line_id and spread.position + 1 = lines.position
            window of_subscription as (
                partition by lines.subscription_id, lines.subscription_number, lines.currency
            )
        ),

        discounted as (
            select
                *,
                case
                    when percent_off is not null
                        then sign(covered_sum)::hugeint
                            * minor_percentage(abs(covered_sum), percent_off)
                    else least(minor_off, greatest(covered_sum, 0)) end as discount,
                greatest(abs(covered_sum), 1) as denominator,
                divided_product(abs(discount), abs(minor_covered), denominator) as part
            from next_coupon
        ),

        -- a line of the other sign has a share of the other sign
        shares as (
            select
                *,
                minor_covered < 0 and part.remainder > 0 as is_below,
                sign(minor_covered)::hugeint * part.quotient - is_below::integer as whole,
                case when is_below then denominator - part.remainder else part.remainder end
                    as remainder
            from discounted
        )

        select
            line_id, subscription_id, subscription_number, currency, position, is_covered, minor_left,
            {{ largest_remainder(
                'discount', 'whole', 'remainder', 'subscription_id, subscription_number, currency'
            ) }} as minor_share
        from shares
    )
)

select
    run.billing_month,
    spread.line_id,
    spread.subscription_id,
    spread.currency,
    lines.coupon_id,
    minor_decimal(spread.minor_left, lines.exponent)::decimal(38, 4) as amount_before,
    minor_decimal(spread.minor_share, lines.exponent)::decimal(38, 4) as discount_share
from spread
inner join lines on spread.line_id = lines.line_id and spread.position = lines.position
cross join {{ ref('stg_run') }} as run
where spread.is_covered
