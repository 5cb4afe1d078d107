{{ config(materialized='view') }}
-- grain: line × coupon that its subscription names, with its place in their order, and whether this
-- invoice has it, and the one that charged what is given back
with
lines as (select * from {{ ref('subscription_lines') }}),
run as (select * from {{ ref('stg_run') }}),

-- the coupons of an invoice are those of the last version that begins before its month's end
named as (
    select
        lines.*,
        sold.billing_month as sold_month,
        versions.coupon_id,
        versions.position,
        versions.first_month,
        coalesce(versions.next_starts_at >= run.month_end, true) as is_of_run,
        coalesce(
            versions.starts_at < sold.month_end
            and coalesce(versions.next_starts_at >= sold.month_end, true),
            false
        ) as is_of_sale
    from lines
    inner join {{ ref('coupon_months') }} as versions
        on lines.subscription_id = versions.subscription_id
        and lines.subscription_number = versions.subscription_number
    cross join run
    -- the invoice before the unused period charged it in advance
    asof left join {{ ref('stg_months') }} as sold on lines.unused_period_start > sold.month_start
),

listed as (
    select
        line_id, customer_id, subscription_id, subscription_number, currency, amount, price_id,
        sold_month, coupon_id, first_month,
        bool_or(is_of_run) as is_of_run,
        bool_or(is_of_sale) as is_of_sale,
        min(case when is_of_run then position end) as place,
        min(case when is_of_sale then {'month': sold_month, 'place': position} end) as sold_place
    from named
    group by all
)

-- one order for all lines of a subscription: this invoice's coupons come first, then those of the
-- invoices that charged what is given back, the oldest first
select
    listed.* exclude (place, sold_place),
    min(listed.place) over naming as place,
    min(listed.sold_place) over naming as sold_place
from listed
window naming as (
    partition by listed.subscription_id, listed.subscription_number, listed.coupon_id
)
