-- grain: meter × day of the billing time zone: what its accepted events say
select
    billing_month,
    meter_id,
    usage_date,
    sum(event_count)::bigint as event_count,
    sum(quantity)::decimal(38, 18) as quantity
from {{ ref('customer_usage') }}
group by billing_month, meter_id, usage_date
