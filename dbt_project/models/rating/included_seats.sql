{{ config(materialized='view') }}
-- grain: window of a price whose included quantity is per seat: the subscription's quantity times
-- the microseconds for which it held, in whole quantities and fractions (10^-18)
select
    windows.subscription_id,
    windows.price_id,
    windows.window_start,
    sum(exact_whole(versions.quantity) * held.us) as whole_us,
    sum(exact_fraction(versions.quantity) * held.us) as fraction_us
from {{ ref('usage_windows') }} as windows
inner join {{ ref('stg_catalog__rated_prices') }} as prices
    on windows.plan_id = prices.plan_id
    and windows.price_id = prices.price_id
    and windows.valid_from is not distinct from prices.valid_from
    and prices.included_per = 'seat'
inner join {{ ref('stg_accounts__subscriptions') }} as versions
    on windows.subscription_id = versions.subscription_id
    and versions.starts_at < windows.window_end
    and coalesce(versions.ends_at > windows.window_start and versions.ends_at > versions.starts_at, true)
cross join lateral (
    select
        epoch_us(least(windows.window_end, coalesce(versions.ends_at, windows.window_end)))
        - epoch_us(greatest(windows.window_start, versions.starts_at)) as us
) as held
group by all
