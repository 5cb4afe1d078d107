-- grain: price version; without a filter, its text is empty
select
    * {{ exclude('filter', adapter.quote('interval')) }},
    coalesce(filter, '') as filter,
    {{ adapter.quote('interval') }} as price_interval
from {{ source('raw', 'prices') }}
