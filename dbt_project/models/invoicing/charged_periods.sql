{{ config(materialized='view') }}
-- grain: subscription × billing period of its plan × currency: what counts towards its minimum. The
-- charges of a price with an interval of its own count in the first period that the month invoices.
with
charges as (select * from {{ ref('charges') }}),

periods as (
    select
        subscription_id,
        subscription_number,
        period_start,
        row_number() over (
            partition by subscription_id, subscription_number
            order by min(case billing_cycle when 'calendar_month' then 0 else 1 end), period_start
        ) as place
    from {{ ref('billing_periods') }}
    where price_interval is null
    group by subscription_id, subscription_number, period_start
)

select
    charges.subscription_id,
    charges.subscription_number,
    charges.currency,
    coalesce(own.period_start, firsts.period_start) as billing_period_start,
    sum(charges.amount) as charged_amount
from charges
left join periods as own
    on charges.subscription_id = own.subscription_id
    and charges.subscription_number = own.subscription_number
    and charges.billing_period_start = own.period_start
left join periods as firsts
    on charges.subscription_id = firsts.subscription_id
    and charges.subscription_number = firsts.subscription_number
    and firsts.place = 1
group by all
