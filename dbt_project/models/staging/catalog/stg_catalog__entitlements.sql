select * from {{ source('raw', 'entitlements') }}
