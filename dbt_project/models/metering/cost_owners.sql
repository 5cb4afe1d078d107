{{ config(materialized=stored_on_spark()) }}
-- grain: customer × meter with a cost × time in which a subscription's plan has, or has not, the usage
-- that names no subscription: usage costs once
with
spans as (select * from {{ ref('cost_spans') }}),

-- what names a subscription is for that one, whoever has the rest
kept as (
    select spans.*
    from spans
    left join {{ ref('customers_naming_subscriptions') }} as naming
        on spans.customer_id = naming.customer_id
    where spans.is_owner or naming.customer_id is not null
),

marked as (
    select
        *,
        case
            when lag(span_end) over (
                partition by meter_id, subscription_id, subscription_number, plan_number, is_owner
                order by span_start
            ) = span_start then 0
            else 1
        end as is_new
    from kept
),

numbered as (
    select
        *,
        sum(is_new) over (
            partition by meter_id, subscription_id, subscription_number, plan_number, is_owner
            order by span_start
            rows between unbounded preceding and current row
        ) as time_number
    from marked
)

select
    customer_id,
    meter_id,
    subscription_id,
    subscription_number,
    plan_number,
    plan_id,
    is_owner,
    claim,
    min(span_start) as starts_at,
    case when count(span_end) = count(*) then max(span_end) end as ends_at
from numbered
group by
    customer_id, meter_id, subscription_id, subscription_number, plan_number, plan_id, is_owner,
    claim, time_number
