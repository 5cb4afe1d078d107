-- grain: usage row whose event_id stands more than once among the valid rows of its folder,
-- with its verdict: `counted` (the first by file name and row), `duplicate` (the same content
-- as the first) or `conflicting_duplicate` (another content)
with
-- a hash finds the few candidates in one cheap pass that reads nothing but ids; which rows are
-- valid, and the exact comparison, are asked of the candidates alone
candidate_hashes as (
    select {{ cheap_hash('usage_month', 'event_id') }} as id_hash
    from {{ source('raw', 'usage_events') }}
    group by 1
    having count(*) > 1
),

candidates as (
    select * {{ exclude('raw') }}
    from {{ source('raw', 'usage_events') }}
    where
        {{ cheap_hash('usage_month', 'event_id') }} in (select id_hash from candidate_hashes)
        and row_id not in (select row_id from {{ ref('rejected_rows') }})
),

with_content as (
    select
        *,
        {{ properties_content('properties') }} as properties_content
    from candidates
),

compared as (
    select
        usage_month,
        row_id,
        event_id,
        source_file,
        source_row,
        (customer_id, event_name, occurred_at, quantity, properties_content) as content,
        row_number() over by_place as place,
        count(*) over (partition by usage_month, event_id) as copies,
        first_value((customer_id, event_name, occurred_at, quantity, properties_content))
            over by_place as first_content
    from with_content
    window by_place as (
        partition by usage_month, event_id order by source_file, source_row
    )
)

select
    usage_month,
    row_id,
    event_id,
    source_file,
    source_row,
    case
        when place = 1 then 'counted'
        when content = first_content then 'duplicate'
        else 'conflicting_duplicate'
    end as verdict
from compared
where copies > 1
