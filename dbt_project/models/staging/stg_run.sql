select * from {{ source('raw', 'run') }}
