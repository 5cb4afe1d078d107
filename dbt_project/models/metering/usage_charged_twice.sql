-- grain: customer × meter some of whose events of the month more than one subscription charges. Only
-- where prices of two of them hold at one time are events read.
with
times as (
    select *, greatest(starts_at, coalesce(trial_ends_at, starts_at)) as paid_from
    from {{ ref('reading_times') }}
    where subscription_id is not null
),

-- a meter's prices are many, the subscriptions that have any few: one row each, so that what still
-- goes on when one begins is another subscription's, and no pairs of them are needed
stays as (
    select
        times.customer_id, times.meter_id, times.subscription_id,
        min(paid_from) as paid_from, max(ends_at) as ends_at
    from times
    cross join {{ ref('stg_run') }} as run
    where ends_at > run.month_start and paid_from < ends_at
    group by times.customer_id, times.meter_id, times.subscription_id
),

together as (
    select distinct customer_id, meter_id
    from (
        select
            *,
            max(ends_at) over (
                partition by customer_id, meter_id order by paid_from, subscription_id
                rows between unbounded preceding and 1 preceding
            ) as others_end_at
        from stays
    ) as following
    where others_end_at > paid_from
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
