{{ config(materialized='view') }}
-- grain: accepted event × meter that reads it, with the value that the meter reads
-- (null: the event lacks the property or has no usable number there; see usage_issues)
{{ readings_by(ref('stg_catalog__meters')) }}
