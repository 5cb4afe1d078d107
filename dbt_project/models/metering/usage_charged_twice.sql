-- grain: customer × meter some of whose events of the month more than one subscription charges. Only
-- where prices of two of them hold at one time are events read.
with
times as (
    select *, greatest(starts_at, coalesce(trial_ends_at, starts_at)) as paid_from
    from {{ ref('reading_times') }}
    where subscription_id is not null
),

-- a meter's prices are many, the times in which a subscription has any few
spans as (
    select distinct customer_id, meter_id, subscription_id, paid_from, ends_at from times
),

together as (
    select distinct times.customer_id, times.meter_id
    from spans as times
    inner join spans as others
        on times.customer_id = others.customer_id
        and times.meter_id = others.meter_id
        and times.subscription_id < others.subscription_id
        and times.paid_from < others.ends_at
        and others.paid_from < times.ends_at
    cross join {{ ref('stg_run') }} as run
    where least(times.ends_at, others.ends_at) > run.month_start
),

keys as (
    select times.*
    from times
    inner join together
        on times.customer_id = together.customer_id and times.meter_id = together.meter_id
),

readings as (
    select together.meter_id, events.*
    from {{ ref('accepted_events') }} as events
    inner join {{ ref('stg_run') }} as run on events.usage_month = run.billing_month
    inner join {{ ref('stg_catalog__meters') }} as meters on events.event_name = meters.event_name
    inner join together
        on events.customer_id = together.customer_id and meters.meter_id = together.meter_id
    -- what names a subscription is charged by no other
    where events.subscription_id is null
),

charged as (
    {{ matched(
        'readings', 'keys', 'facts.occurred_at >= keys.paid_from and facts.occurred_at < keys.ends_at',
        ['subscription_id as charged_by']
    ) }}
),

twice as (
    select customer_id, meter_id
    from charged
    group by customer_id, meter_id, row_id
    having min(charged_by) < max(charged_by)
)

select distinct customer_id, meter_id from twice
