-- grain: usage row whose event_id stands more than once among the valid rows of its folder,
-- with its verdict: `counted` (the first by file name and row), `duplicate` (the same content
-- as the first) or `conflicting_duplicate` (another content)
{%- set content -%}
    (customer_id, event_name, occurred_at, quantity, properties_content, coalesce(subscription_id, ''))
{%- endset %}
with
compared as (
    select
        usage_month,
        row_id,
        event_id,
        source_file,
        source_row,
        {{ content }} as content,
        row_number() over by_place as place,
        count(*) over (partition by usage_month, event_id) as copies,
        first_value({{ content }}) over by_place as first_content
    from {{ ref('suspect_rows') }}
    where rejection_reason is null
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
