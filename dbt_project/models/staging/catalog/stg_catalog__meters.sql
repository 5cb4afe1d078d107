select * from {{ source('raw', 'meters') }}
