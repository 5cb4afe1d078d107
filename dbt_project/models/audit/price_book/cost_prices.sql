{{ config(materialized='view') }}
-- grain: version of a cost, as the month's margins were computed with it
select run.billing_month, cost_prices.*
from {{ source('raw', 'cost_prices') }} as cost_prices
cross join {{ ref('stg_run') }} as run
