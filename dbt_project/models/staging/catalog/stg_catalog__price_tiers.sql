select * from {{ source('raw', 'price_tiers') }}
