{{ config(tags=['reads_events']) }}
-- grain: event name: what becomes of the month's accepted events, and how those that are metered make
-- up what the month's charges measure
with
run as (select * from {{ ref('stg_run') }}),
plain as (select * from {{ ref('plain_usage') }}),

measured as (
    select measured.*, measured.usage_month = run.billing_month as is_own
    from {{ ref('measured_events') }} as measured
    cross join run
),

followed as (
    select events.event_name
    from {{ ref('accepted_events') }} as events
    inner join run on events.usage_month = run.billing_month
    inner join {{ ref('followed_usage') }} as followed
        on events.customer_id = followed.customer_id
        and events.event_name = followed.event_name
),

steps as (
    select event_name, 'accepted' as step, count(*) as events from followed group by event_name
    union all
    select event_name, 'unpriced', event_count from {{ ref('unpriced_usage') }}
    union all
    select event_name, reason, count(*) from {{ ref('unmetered_events') }} group by event_name, reason
    union all
    select event_name, 'once', count(*) from measured where is_own group by event_name
    union all
    select event_name, 'prices', sum(metered_count - subscription_count)
    from measured
    where is_own
    group by event_name
    union all
    select event_name, 'subscriptions', sum(subscription_count - 1)
    from measured
    where is_own
    group by event_name
    union all
    select event_name, 'earlier', sum(metered_count)
    from measured
    where not is_own
    group by event_name
    union all
    select event_name, 'accepted', event_count from plain
    union all
    select event_name, 'once', event_count from plain
    union all
    select event_name, 'prices', metered_count - event_count from plain
)

select
    run.billing_month,
    steps.event_name,
    {%- for column, step in [
        ('accepted_events', 'accepted'), ('unpriced_events', 'unpriced'), ('limit_events', 'limit'),
        ('unread_events', 'unread'), ('later_events', 'later'), ('metered_once', 'once'),
        ('again_by_prices', 'prices'), ('again_by_subscriptions', 'subscriptions'),
        ('earlier_events', 'earlier'),
    ] %}
    coalesce(sum(case when steps.step = '{{ step }}' then steps.events end), 0)::bigint as {{ column }},
    {%- endfor %}
    coalesce(sum(
        case when steps.step in ('once', 'prices', 'subscriptions', 'earlier') then steps.events end
    ), 0)::bigint as metered_events
from steps
cross join run
group by run.billing_month, steps.event_name
