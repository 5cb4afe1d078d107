select
    billing_month,
    'usage' as part,
    'usage_rejected' as kind,
    source_file as subject,
    rejected_rows as items,
    'rows set aside: table usage_rejections' as reason
from {{ all_months(ref('usage_files')) }}
where rejected_rows > 0
union all by name
select
    billing_month,
    'usage' as part,
    'rows_unaccounted' as kind,
    source_file as subject,
    'rows neither accepted nor rejected nor duplicates' as reason
from {{ all_months(ref('usage_files')) }}
where rows_read <> accepted_rows + rejected_rows + duplicate_rows
union all by name
select
    billing_month,
    'usage' as part,
    'events_unread' as kind,
    meter_id as subject,
    count(*) as items,
    string_agg(distinct reason, ', ' order by reason) as reason
from {{ all_months(ref('usage_issues')) }}
group by billing_month, meter_id
union all by name
select
    billing_month,
    'limits' as part,
    'limit_exceeded' as kind,
    concat_ws(' ', customer_id, feature) as subject,
    customer_id,
    'more than ' || limit_quantity || ' used of ' || feature || ' in ' || plan_id as reason
from {{ all_months(ref('entitlement_usage')) }}
where state = 'exceeded'
