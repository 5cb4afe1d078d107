select * from {{ source('raw', 'seller') }}
