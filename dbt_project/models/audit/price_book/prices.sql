{{ config(materialized='view') }}
-- grain: price version, as the month was rated with it
select run.billing_month, prices.*
from {{ source('raw', 'prices') }} as prices
cross join {{ ref('stg_run') }} as run
