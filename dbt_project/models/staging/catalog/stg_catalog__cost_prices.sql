-- grain: version of a cost, as metering and rating read prices. It is of no plan, and may be named like
-- a price: both ids begin with a line break, which no id has.
with
tiers as (select distinct price_id, valid_from from {{ source('raw', 'cost_price_tiers') }})

select
    costs.* {{ exclude('price_id', 'filter', adapter.quote('interval'), 'replaces') }},
    chr(10) || costs.price_id as price_id,
    chr(10) as plan_id,
    coalesce(costs.filter, '') as filter,
    costs.{{ adapter.quote('interval') }} as price_interval,
    tiers.valid_from as tiers_from,
    cast(null as varchar(20)) as inherited_by
from {{ source('raw', 'cost_prices') }} as costs
left join tiers
    on costs.price_id = tiers.price_id
    and costs.valid_from is not distinct from tiers.valid_from
