select * from {{ source('raw', 'wallet_transactions') }}
