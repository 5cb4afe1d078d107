-- grain: meter, with what its cells mean to the models that read events
with
meters as (select * from {{ source('raw', 'meters') }}),
run as (select * from {{ ref('stg_run') }})

select
    meters.*,
    '/' || replace(replace(meters.property, '~', '~0'), '/', '~1') as property_path,
    {{ pointers('meters.group_by') }} as group_paths,
    case
        when {{ is_percentile('meters.aggregation') }}
            then substr(meters.aggregation, 2)::int
    end as percentile,
    case when meters.bucket is not null then run.timezone end as bucket_zone,
    meters.aggregation in ({{ aggregations_where('is_gauge') }})
    and meters.bucket is null as is_gauge,
    -- sums are the same however they are split; averages over time are split by their own model
    meters.aggregation in ({{ aggregations_where('by_bucket') }})
    and meters.aggregation not in ({{ aggregations_where('adds_up') }})
    and (meters.group_by is not null or meters.bucket is not null) as is_split
from meters
cross join run
