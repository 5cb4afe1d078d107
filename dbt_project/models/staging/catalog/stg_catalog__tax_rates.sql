select * from {{ source('raw', 'tax_rates') }}
