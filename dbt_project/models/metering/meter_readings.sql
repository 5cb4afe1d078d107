{{ config(materialized='view') }}
-- grain: accepted event × meter that reads it, with the value that the meter reads
-- (null: the event lacks the property or has no usable number there; see usage_issues). For a
-- counter that is the increase since the reading before; a correction of a gauge is a reading too.
{{ readings_by("(select * from " ~ ref('stg_catalog__meters') ~ " where aggregation <> 'counter')") }}
union all
select * from {{ ref('counter_increases') }}
union all
select * from {{ ref('correction_readings') }}
