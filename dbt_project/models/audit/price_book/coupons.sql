{{ config(materialized='view') }}
-- grain: coupon, as the month was rated with it
select run.billing_month, coupons.*
from {{ source('raw', 'coupons') }} as coupons
cross join {{ ref('stg_run') }} as run
