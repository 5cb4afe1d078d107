{{ config(materialized='view') }}
-- grain: line × coupon of its subscription, in the coupons' order, with whether it counts for the
-- line: on this invoice, or, where unused time is given back, on the one that charged it
with
coupons as (select * from {{ ref('stg_catalog__coupons') }}),
run as (select * from {{ ref('stg_run') }}),

counted as (
    select
        months_run.*,
        currencies.exponent,
        coupons.percent_off,
        coupons.amount_off,
        dense_rank() over (
            partition by months_run.subscription_id, months_run.subscription_number
            order by
                months_run.place nulls last, months_run.sold_place nulls last, months_run.coupon_id
        ) as position,
        coalesce(coupons.currency = months_run.currency, true) as has_currency,
        coupons.price_ids is null
        or coalesce(list_contains(string_split(coupons.price_ids, ';'), months_run.price_id), false)
            as has_price,
        case
            -- a percentage that was taken off a fee in advance is taken off what is given back
            when coupons.percent_off is not null and months_run.sold_month is not null
                then months_run.is_of_sale and {{ coupon_counts('months_run.sold_month') }}
            else months_run.is_of_run and {{ coupon_counts('run.billing_month') }}
        end as counts
    from {{ ref('named_coupons') }} as months_run
    inner join coupons on months_run.coupon_id = coupons.coupon_id
    inner join {{ source('raw', 'currencies') }} as currencies
        on months_run.currency = currencies.currency
    cross join run
)

select
    line_id, customer_id, subscription_id, subscription_number, currency, exponent, position,
    coupon_id, percent_off,
    whole_minor(amount, exponent) as minor_amount,
    whole_minor(rounded_to_minor(exact(amount_off).units, exponent), exponent) as minor_off,
    counts and has_currency and has_price as is_covered
from counted
