{{ config(materialized=stored_on_spark()) }}
-- grain: window into which a gauge's last value continues. Between the parts of one billing period
-- it always continues; from earlier periods only where the meter carries it forward.
select
    window_id,
    customer_id,
    meter_id,
    filter,
    filter_rest,
    -- what is left to a price depends on the others of its plan
    case when filter_rest then plan_id end as plan_id,
    case when is_by_subscription then reads_subscription_id end as reads_subscription_id,
    reads_unnamed,
    window_start,
    case when not is_carried then billing_period_start end as carried_since,
    -- windows that read the same events
    min(window_id) over (
        partition by
            customer_id, meter_id, filter, filter_rest, case when filter_rest then plan_id end,
            case when is_by_subscription then reads_subscription_id end, reads_unnamed
    ) as series_id
from {{ ref('usage_windows') }}
where
    is_carried
    or (
        aggregation in ({{ aggregations_where('carries_forward') }})
        and bucket is null
        and window_start > billing_period_start
    )
