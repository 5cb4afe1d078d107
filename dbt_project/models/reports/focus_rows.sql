{{ config(materialized='ephemeral') }}
-- grain: as focus_lines, with the month in which it is billed, and by whom to whom
with
plans as (
    select distinct billing_month, subscription_id, plan_id
    from {{ all_months(ref('charges')) }}
),

prepaid as (
    select distinct commitment_id
    from {{ all_months(ref('commitment_balances')) }}
    where kind = 'prepaid'
),

months as (
    select
        lines.*,
        seller.name as seller_name, seller.timezone, seller.month_start, seller.month_end,
        -- a correction is billed in the month in which it is issued
        date_trunc('month', timezone(seller.timezone, lines.corrected_at)) as later_month
    from {{ ref('focus_lines') }} as lines
    left join {{ all_months(ref('seller')) }} as seller on lines.billing_month = seller.billing_month
)

select
    months.* exclude (later_month, month_start, month_end, timezone) replace (
        coalesce(months.later_month::date, months.billing_month) as billing_month,
        coalesce(months.plan_id, plans.plan_id) as plan_id,
        coalesce(months.period_start, months.month_start) as period_start,
        coalesce(months.period_end, months.month_end) as period_end
    ),
    coalesce(timezone(months.timezone, months.later_month), months.month_start) as billed_from,
    coalesce(timezone(months.timezone, months.later_month + interval 1 month), months.month_end)
        as billed_to,
    months.kind = 'charge' and months.meter_id is not null as is_usage,
    months.kind = 'commitment' and prepaid.commitment_id is not null as is_prepaid,
    customers.name as customer_name
from months
left join prepaid on months.commitment_id = prepaid.commitment_id
left join plans
    on months.subscription_id = plans.subscription_id and months.billing_month = plans.billing_month
left join {{ all_months(ref('customers')) }} as customers
    on months.customer_id = customers.customer_id and months.billing_month = customers.billing_month
