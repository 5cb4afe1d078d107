-- grain: usage correction of the months that are read
select * from {{ source('raw', 'usage_corrections') }}
