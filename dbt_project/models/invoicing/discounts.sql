-- grain: subscription × currency with a coupon that counts this month: one discount line over
-- the subscription's lines, rounded on that line, never more than they are
with
lines as (select * from {{ ref('subscription_lines') }}),
terms as (select * from {{ ref('stg_accounts__subscriptions') }}),
coupons as (select * from {{ ref('stg_catalog__coupons') }}),
currencies as (select * from {{ source('raw', 'currencies') }}),
run as (select * from {{ ref('stg_run') }}),

lines_of_subscription as (
    select
        customer_id, subscription_id, currency, sum(amount) as lines_amount,
        min(period_start) as period_start, max(period_end) as period_end
    from lines
    group by all
    having sum(amount) > 0
),

-- months are counted from the one in which the subscription is first paid for
months_run as (
    select
        terms.subscription_id,
        terms.coupon_id,
        datediff(
            'month',
            date_trunc('month', timezone(
                run.timezone, greatest(terms.starts_at, coalesce(terms.trial_ends_at, terms.starts_at))
            ))::date,
            run.billing_month
        ) as months_since
    from terms
    cross join run
),

applicable as (
    select
        lines.*,
        coupons.coupon_id,
        coupons.percent_off,
        coupons.amount_off,
        currencies.exponent
    from lines_of_subscription as lines
    inner join months_run on lines.subscription_id = months_run.subscription_id
    inner join coupons on months_run.coupon_id = coupons.coupon_id
    inner join currencies on lines.currency = currencies.currency
    where
        (coupons.amount_off is null or coupons.currency = lines.currency)
        and case coupons.duration
            when 'forever' then true
            when 'once' then months_run.months_since = 0
            when 'repeating'
                then months_run.months_since between 0 and coupons.duration_in_months - 1
        end
),

computed as (
    select
        *,
        least(
            lines_amount,
            case
                when percent_off is not null then rounded_to_minor(
                    exact_share(exact_times(exact(lines_amount), percent_off), 1, 100).units, exponent
                )
                else rounded_to_minor(exact(amount_off).units, exponent)
            end
        )::decimal(38, 4) as discount_amount
    from applicable
)

select
    'li_' || left(md5(concat_ws('|', 'discount', subscription_id, currency, coupon_id)), 24)
    || strftime(run.billing_month, '%Y%m') as line_id,
    customer_id, subscription_id, 'discount' as kind,
    'Coupon ' || coupon_id || coalesce(': ' || plain(percent_off) || ' % off', '') as description,
    -discount_amount as amount, currency, period_start, period_end, coupon_id,
    concat_ws(
        '; ',
        coalesce(plain(percent_off) || ' % of ', plain(amount_off) || ' off ') || plain(lines_amount),
        'at most ' || plain(lines_amount),
        {{ rounded_text('-discount_amount') }}
    ) as calculation
from computed
cross join run
where discount_amount > 0
