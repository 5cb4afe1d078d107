select * from {{ source('raw', 'months') }}
