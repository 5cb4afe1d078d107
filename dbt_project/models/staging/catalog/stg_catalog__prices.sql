-- grain: price version; without a filter, its text is empty
select
    * {{ exclude('filter') }},
    coalesce(filter, '') as filter
from {{ source('raw', 'prices') }}
