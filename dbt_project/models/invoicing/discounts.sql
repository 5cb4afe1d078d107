-- grain: subscription × currency × coupon that takes something off: one discount line, rounded, and
-- never more than the lines that it counts for have left. The refund of a fee is reduced by the
-- percentage that was taken off when the fee was charged.
with
shares as (select * from {{ ref('line_discounts') }}),
lines as (select * from {{ ref('subscription_lines') }}),
coupons as (select * from {{ ref('stg_catalog__coupons') }}),
run as (select * from {{ ref('stg_run') }}),

periods as (
    select subscription_id, subscription_number, currency, min(period_start) as period_start,
        max(period_end) as period_end
    from lines
    group by all
),

summed as (
    select
        any_value(lines.customer_id) as customer_id,
        lines.subscription_id,
        lines.subscription_number,
        shares.currency,
        shares.coupon_id,
        sum(shares.amount_before) as covered_amount,
        sum(shares.discount_share) as discount_amount
    from shares
    inner join lines on shares.line_id = lines.line_id
    group by lines.subscription_id, lines.subscription_number, shares.currency, shares.coupon_id
)

select
    -- a subscription after a gap has an id of its own
    'li_' || left(md5(concat_ws(
        '|', 'discount', summed.subscription_id, summed.currency, summed.coupon_id,
        nullif(summed.subscription_number, 1)
    )), 24) || strftime(run.billing_month, '%Y%m') as line_id,
    summed.customer_id,
    summed.subscription_id,
    'discount' as kind,
    'Coupon ' || coupons.coupon_id || coalesce(': ' || plain(coupons.percent_off) || ' % off', '')
    || case when summed.covered_amount < 0 then ' (unused time)' else '' end as description,
    -summed.discount_amount as amount,
    summed.currency,
    periods.period_start,
    periods.period_end,
    coupons.coupon_id,
    concat_ws(
        '; ',
        coalesce(plain(coupons.percent_off) || ' % of ', plain(coupons.amount_off) || ' off ')
        || plain(summed.covered_amount),
        case when summed.covered_amount > 0 then 'at most ' || plain(summed.covered_amount) end,
        {{ rounded_text('-summed.discount_amount', 'currencies.exponent', 'summed.currency') }}
    ) as calculation
from summed
inner join periods
    on summed.subscription_id = periods.subscription_id
    and summed.subscription_number = periods.subscription_number
    and summed.currency = periods.currency
inner join coupons on summed.coupon_id = coupons.coupon_id
inner join {{ source('raw', 'currencies') }} as currencies on summed.currency = currencies.currency
cross join run
where summed.discount_amount <> 0
