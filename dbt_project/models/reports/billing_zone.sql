{{ config(materialized='ephemeral') }}
-- grain: the billing time zone, one row: the newest month's
select coalesce(max_by(timezone, billing_month), 'UTC') as name
from {{ all_months(ref('seller')) }}
