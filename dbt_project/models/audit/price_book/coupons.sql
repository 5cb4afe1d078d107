{{ config(materialized='view') }}
-- grain: coupon, as the month was rated with it
select
    run.billing_month,
    coupons.coupon_id,
    coupons.percent_off,
    coupons.amount_off,
    coupons.currency,
    coupons.duration,
    coupons.duration_in_months,
    coupons.price_ids
from {{ source('raw', 'coupons') }} as coupons
cross join {{ ref('stg_run') }} as run
