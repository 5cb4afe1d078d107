{{ config(materialized=stored_on_spark()) }}
-- grain: window × combination of properties that its price's filter accepts; one without a filter
-- has a single one without properties
select
    windows.*,
    filters.paths,
    filters.texts,
    filters.bounds
from {{ ref('usage_windows') }} as windows
inner join {{ source('raw', 'filters') }} as filters on windows.filter = filters.filter
