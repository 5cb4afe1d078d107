with
sources as (select * from {{ all_months(ref('usage_sources')) }}),

totals as (
    select
        billing_month,
        sum(accepted_rows) as events,
        bool_or(expected is not null) as has_expected
    from sources
    group by billing_month
)

select
    billing_month,
    'usage' as part,
    'source_missing' as kind,
    source as subject,
    'no file of the source ' || source || ' has arrived (' || file_pattern || ')' as reason
from sources
where expected = 'monthly' and file_count = 0
union all by name
-- without expected sources, what came is compared with the month before; once the month is over
select
    totals.billing_month,
    'usage' as part,
    case when totals.events = 0 then 'no_usage' else 'usage_fell' end as kind,
    'all' as subject,
    case
        when totals.events = 0 then 'no usage has arrived'
        else totals.events || ' events, less than a third of the month before, which had '
            || before.events
    end as reason
from totals
left join totals as before on totals.billing_month = before.billing_month + interval 1 month
where not totals.has_expected
    and totals.billing_month + interval 1 month <= current_date
    and (totals.events = 0 or totals.events * 3 < before.events)
union all by name
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
where reason <> 'charged_by_several_subscriptions'
group by billing_month, meter_id
union all by name
select
    billing_month,
    'limits' as part,
    'limit_exceeded' as kind,
    concat_ws(' ', customer_id, feature) as subject,
    customer_id,
    'more than ' || {{ short_number('limit_quantity') }} || ' used of ' || feature || ' in '
        || plan_id as reason
from {{ all_months(ref('entitlement_usage')) }}
where state = 'exceeded'
