{{ config(materialized='view') }}
-- grain: line × coupon of its subscription, in the coupons' order, with whether it counts for the
-- line: on this invoice, or, where unused time is given back, on the one that charged it
with
lines as (select * from {{ ref('subscription_lines') }}),
coupons as (select * from {{ ref('stg_catalog__coupons') }}),
run as (select * from {{ ref('stg_run') }}),

counted as (
    select
        lines.line_id,
        lines.customer_id,
        lines.subscription_id,
        lines.subscription_number,
        lines.currency,
        currencies.exponent,
        lines.amount,
        months_run.position,
        coupons.coupon_id,
        coupons.percent_off,
        coupons.amount_off,
        coalesce(coupons.currency = lines.currency, true) as has_currency,
        coupons.price_ids is null
        or coalesce(list_contains(string_split(coupons.price_ids, ';'), lines.price_id), false)
            as has_price,
        case
            -- a percentage that was taken off a fee in advance is taken off what is given back
            when coupons.percent_off is not null and lines.unused_period_start is not null
                then {{ coupon_counts('sold.billing_month') }}
            else {{ coupon_counts('run.billing_month') }}
        end as counts
    from lines
    inner join {{ ref('coupon_months') }} as months_run
        on lines.subscription_id = months_run.subscription_id
        and lines.subscription_number = months_run.subscription_number
    inner join coupons on months_run.coupon_id = coupons.coupon_id
    inner join {{ source('raw', 'currencies') }} as currencies on lines.currency = currencies.currency
    cross join run
    -- the invoice before the unused period charged it in advance
    asof left join {{ ref('stg_months') }} as sold on lines.unused_period_start > sold.month_start
)

select
    counted.* exclude (amount, amount_off, has_currency, has_price, counts),
    whole_minor(amount, exponent) as minor_amount,
    whole_minor(rounded_to_minor(exact(amount_off).units, exponent), exponent) as minor_off,
    counts and has_currency and has_price as is_covered
from counted
