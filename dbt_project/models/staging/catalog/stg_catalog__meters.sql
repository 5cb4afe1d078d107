-- grain: meter, with the JSON pointer of the property that it reads, and whether it is a gauge
select
    *,
    '/' || replace(replace(property, '~', '~0'), '/', '~1') as property_path,
    aggregation in ({{ aggregations_where('is_gauge') }}) as is_gauge
from {{ source('raw', 'meters') }}
