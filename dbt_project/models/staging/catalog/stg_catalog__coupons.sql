select * from {{ source('raw', 'coupons') }}
