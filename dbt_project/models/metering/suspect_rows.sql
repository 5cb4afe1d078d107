-- grain: usage row that may not count: it cannot be billed for what it says by itself, or its
-- event_id seems to stand in its folder more than once. Few rows, found in one pass that looks at
-- every value; what reads events later need not look at them again.
with
-- a hash finds the few candidates in one cheap pass that reads nothing but ids; two ids may share
-- one, so the exact comparison is asked of the candidates
id_hashes as (
    select {{ cheap_hash('usage_month', 'event_id') }} as id_hash
    from {{ source('raw', 'usage_events') }}
),

-- counted off among equal ones: quicker than a group for each, and with less memory; Spark wants
-- an order, and any will do
counted_off as (
    select
        id_hash,
        row_number() over (partition by id_hash order by id_hash) as place
    from id_hashes
),

repeated_hashes as (
    select id_hash from counted_off where place = 2
)

select
    usage_month,
    row_id,
    event_id,
    customer_id,
    event_name,
    occurred_at,
    quantity,
    subscription_id,
    {{ properties_content('properties') }} as properties_content,
    source_file,
    source_row,
    rejection_reason,
    {{ given_text() }} as raw
from {{ ref('stg_usage__events') }}
where
    rejection_reason is not null
    or {{ cheap_hash('usage_month', 'event_id') }} in (select id_hash from repeated_hashes)
