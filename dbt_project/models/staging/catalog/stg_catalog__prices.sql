-- grain: plan × price version × time in which no other price of the plan replaces it; without a
-- filter, its text is empty
select
    * {{ exclude('filter', adapter.quote('interval')) }},
    coalesce(filter, '') as filter,
    {{ adapter.quote('interval') }} as price_interval
from {{ source('raw', 'plan_prices') }}
