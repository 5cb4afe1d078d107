{{ config(materialized=stored_on_spark()) }}
-- grain: claim to what a meter's usage costs × time in which the customer's subscriptions stay the same:
-- of several, usage that names none is for one whose plan has a price of the meter, else an
-- entitlement; of these for the one that began first
with
claims as (select * from {{ ref('cost_claims') }}),

edges as (
    select customer_id, meter_id, starts_at as span_start from claims
    union
    select customer_id, meter_id, ends_at as span_start from claims where ends_at is not null
),

spans as (
    select
        *,
        lead(span_start) over (partition by customer_id, meter_id order by span_start) as span_end
    from edges
)

select
    claims.*,
    spans.span_start,
    spans.span_end,
    row_number() over (
        partition by claims.customer_id, claims.meter_id, spans.span_start
        order by claims.claim, claims.subscription_starts_at, claims.subscription_id
    ) = 1 as is_owner
from spans
inner join claims
    on spans.customer_id = claims.customer_id
    and spans.meter_id = claims.meter_id
    and claims.starts_at <= spans.span_start
    and coalesce(claims.ends_at > spans.span_start, true)
