-- grain: subscription × meter × price × service period (a trial's part is a row of its own)
select
    windows.customer_id,
    windows.subscription_id,
    windows.meter_id,
    windows.price_id,
    run.billing_month,
    windows.quantity,
    windows.event_count::bigint as event_count,
    windows.correction_count::bigint as correction_count,
    windows.is_trial,
    windows.window_start as period_start,
    windows.window_end as period_end,
    windows.carried_from
from {{ ref('measured_windows') }} as windows
cross join {{ ref('stg_run') }} as run
where windows.subscription_id is not null and not windows.is_cost
