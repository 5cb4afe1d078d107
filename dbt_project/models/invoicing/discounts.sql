-- grain: subscription × currency with a valid coupon: one discount line for all of the subscription's
-- lines, rounded, and never more than their sum. The refund of a fee is reduced by the percentage
-- that was taken off when the fee was charged.
with
lines as (select * from {{ ref('subscription_lines') }}),
coupons as (select * from {{ ref('stg_catalog__coupons') }}),
run as (select * from {{ ref('stg_run') }}),

lines_of_subscription as (
    select customer_id, subscription_id, subscription_number, currency, sum(amount) as lines_amount,
        coalesce(sum(amount) filter (where unused_period_start is not null), 0) as unused_amount,
        max(unused_period_start) as unused_period_start, min(period_start) as period_start,
        max(period_end) as period_end
    from lines
    group by all
),

counted as (
    select
        lines.*,
        coupons.coupon_id, coupons.percent_off, coupons.amount_off, currencies.exponent,
        {{ coupon_counts('run.billing_month') }} as counts_now,
        -- the invoice before the unused period charged it in advance
        {{ coupon_counts('sold.billing_month') }} as counted_then
    from lines_of_subscription as lines
    inner join {{ ref('coupon_months') }} as months_run
        on lines.subscription_id = months_run.subscription_id
        and lines.subscription_number = months_run.subscription_number
    inner join coupons on months_run.coupon_id = coupons.coupon_id
    inner join {{ source('raw', 'currencies') }} as currencies on lines.currency = currencies.currency
    cross join run
    asof left join {{ ref('stg_months') }} as sold on lines.unused_period_start > sold.month_start
    where coupons.amount_off is null or coupons.currency = lines.currency
),

applicable as (
    select
        *,
        case
            when percent_off is not null
                then case when counts_now then lines_amount - unused_amount else 0 end
                    + case when counted_then then unused_amount else 0 end
            when counts_now then greatest(lines_amount, 0)
            else 0
        end as covered_amount
    from counted
),

computed as (
    select
        *,
        case
            when percent_off is not null then rounded_to_minor(
                sign(covered_amount)::hugeint
                * exact_share(exact_times(exact(abs(covered_amount)), percent_off), 1, 100).units,
                exponent
            )
            else least(covered_amount, rounded_to_minor(exact(amount_off).units, exponent))
        end::decimal(38, 4) as discount_amount
    from applicable
)

select
    -- a subscription after a gap has an id of its own
    'li_' || left(md5(concat_ws(
        '|', 'discount', subscription_id, currency, coupon_id, nullif(subscription_number, 1)
    )), 24) || strftime(run.billing_month, '%Y%m') as line_id,
    customer_id, subscription_id, 'discount' as kind,
    'Coupon ' || coupon_id || coalesce(': ' || plain(percent_off) || ' % off', '')
    || case when covered_amount < 0 then ' (unused time)' else '' end as description,
    -discount_amount as amount, currency, period_start, period_end, coupon_id,
    concat_ws(
        '; ',
        coalesce(plain(percent_off) || ' % of ', plain(amount_off) || ' off ') || plain(covered_amount),
        case when covered_amount > 0 then 'at most ' || plain(covered_amount) end,
        {{ rounded_text('-discount_amount') }}
    ) as calculation
from computed
cross join run
where discount_amount <> 0
