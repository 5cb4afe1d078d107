{{ config(materialized='view') }}
-- grain: subscription × billing period of its plans × currency: what counts towards its minimum. The
-- charges of a price with an interval of its own count in the first period that the month invoices,
-- unless theirs is one of the subscription's, of whichever of its plans.
-- Periods that begin together (plans of different cycles, a month and a quarter) differ in length.
with
charges as (select * from {{ ref('rated_charges') }} where kind not in ('run_rate', 'cost')),

periods as (
    select
        subscription_id, subscription_number, period_start, period_us,
        bool_or(billing_cycle = 'calendar_month') as is_calendar_month
    from {{ ref('billing_periods') }}
    where price_interval is null
    group by all
),

firsts as (
    select *
    from periods
    qualify row_number() over (
        partition by subscription_id, subscription_number
        order by not is_calendar_month, period_start, -period_us
    ) = 1
)

select
    charges.subscription_id,
    charges.subscription_number,
    charges.currency,
    coalesce(own.period_start, firsts.period_start) as billing_period_start,
    coalesce(own.period_us, firsts.period_us) as billing_period_us,
    sum(charges.amount) as charged_amount
from charges
left join periods as own
    on charges.subscription_id = own.subscription_id
    and charges.subscription_number = own.subscription_number
    and charges.billing_period_start = own.period_start
    and charges.whole_us = own.period_us
left join firsts
    on charges.subscription_id = firsts.subscription_id
    and charges.subscription_number = firsts.subscription_number
group by all
