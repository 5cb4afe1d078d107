select * from {{ source('raw', 'adjustments') }}
