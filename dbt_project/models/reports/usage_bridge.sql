-- from the rows of usage files to charged events; an event counts for each meter that reads it
with
files as (
    select
        billing_month,
        sum(rows_read) as rows_read,
        sum(rejected_rows) as rejected_rows,
        sum(duplicate_rows) as duplicate_rows,
        sum(accepted_rows) as accepted_rows
    from {{ all_months(ref('usage_files')) }}
    group by billing_month
),

unpriced as (
    select billing_month, sum(event_count) as events
    from {{ all_months(ref('unpriced_usage')) }}
    group by billing_month
),

followed as (
    select
        billing_month,
        sum(limit_events) as limit_events,
        sum(unread_events) as unread_events,
        sum(later_events) as later_events,
        sum(again_by_prices) as again_by_prices,
        sum(again_by_subscriptions) as again_by_subscriptions,
        sum(earlier_events) as earlier_events
    from {{ all_months(ref('event_bridge')) }}
    group by billing_month
),

metered as (
    select
        billing_month,
        sum(event_count) as events,
        sum(event_count) filter (where is_trial) as in_trials
    from {{ all_months(ref('metered_usage')) }}
    group by billing_month
),

charged as (
    select billing_month, sum(event_count) as events
    from {{ all_months(ref('charges')) }}
    where meter_id is not null
    group by billing_month
)

select
    files.billing_month,
    files.rows_read::bigint as rows_read,
    files.rejected_rows::bigint as rejected_rows,
    files.duplicate_rows::bigint as duplicate_rows,
    files.accepted_rows::bigint as accepted_rows,
    coalesce(unpriced.events, 0)::bigint as unpriced_events,
    (files.accepted_rows - coalesce(unpriced.events, 0))::bigint as priced_events,
    followed.limit_events::bigint as limit_events,
    followed.unread_events::bigint as unread_events,
    followed.later_events::bigint as later_events,
    followed.again_by_prices::bigint as again_by_prices,
    followed.again_by_subscriptions::bigint as again_by_subscriptions,
    followed.earlier_events::bigint as earlier_events,
    coalesce(metered.events, 0)::bigint as metered_events,
    coalesce(metered.in_trials, 0)::bigint as trial_events,
    coalesce(charged.events, 0)::bigint as charged_events
from files
left join unpriced on files.billing_month = unpriced.billing_month
left join followed on files.billing_month = followed.billing_month
left join metered on files.billing_month = metered.billing_month
left join charged on files.billing_month = charged.billing_month
