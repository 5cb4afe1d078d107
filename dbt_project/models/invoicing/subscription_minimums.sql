{{ config(materialized='view') }}
-- grain: subscription × billing period in which a version names a minimum: the sum of the versions'
-- minimums, each by the paid share of the period in which it was in force
with
periods as (select * from {{ ref('billing_periods') }} where price_interval is null),
versions as (select * from {{ ref('stg_accounts__subscriptions') }} where is_effective),

parts as (
    select
        periods.customer_id,
        periods.subscription_id,
        periods.subscription_number,
        periods.customer_currency as currency,
        periods.period_start as billing_period_start,
        periods.period_us as billing_period_us,
        versions.minimum_amount,
        greatest(
            periods.period_start, versions.starts_at,
            coalesce(versions.trial_ends_at, versions.starts_at)
        ) as period_start,
        least(periods.period_end, coalesce(versions.ends_at, periods.period_end)) as period_end
    from periods
    inner join versions
        on periods.subscription_id = versions.subscription_id
        and periods.subscription_number = versions.subscription_number
        and periods.plan_number = versions.plan_number
    where versions.minimum_amount is not null
),

-- what stays the same over several versions is one share
shares as (
    select
        * exclude (part_us),
        exact_share(exact(minimum_amount), part_us, billing_period_us) as share,
        'minimum ' || plain(minimum_amount)
        || case
            when part_us < billing_period_us
                then '; ' || {{ share_text('part_us', 'billing_period_us') }}
            else ''
        end as share_text
    from (
        select
            * exclude (period_start, period_end),
            min(period_start) as period_start,
            max(period_end) as period_end,
            sum(epoch_us(period_end) - epoch_us(period_start)) as part_us
        from parts
        where period_start < period_end
        group by all
    ) as by_amount
)

select
    customer_id,
    subscription_id,
    subscription_number,
    currency,
    billing_period_start,
    billing_period_us,
    min(period_start) as period_start,
    max(period_end) as period_end,
    exact_normal({
        'units': sum(share.units), 'num': sum(share.num), 'den': any_value(share.den)
    }).units as minimum_units,
    string_agg(plain(minimum_amount), ' and ' order by period_start) as amounts_text,
    string_agg(share_text, '; ' order by period_start) as calculation
from shares
group by all
