{{ config(materialized='view') }}
-- grain: meter, as the month was rated with it
select run.billing_month, meters.*
from {{ source('raw', 'meters') }} as meters
cross join {{ ref('stg_run') }} as run
