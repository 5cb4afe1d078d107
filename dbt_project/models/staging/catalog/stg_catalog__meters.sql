-- grain: meter, with the JSON pointer of the property that it reads
select
    *,
    '/' || replace(replace(property, '~', '~0'), '/', '~1') as property_path
from {{ source('raw', 'meters') }}
