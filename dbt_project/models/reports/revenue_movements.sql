with
amounts as (
    select billing_month, customer_id, currency, sum(amount)::decimal(38, 4) as amount
    from {{ all_months(ref('recurring_revenue')) }}
    group by all
),

months as (
    select
        billing_month,
        lag(billing_month) over (order by billing_month) as month_before
    from (select distinct billing_month from {{ all_months(ref('recurring_revenue')) }})
),

payers as (
    select customer_id, currency, min(billing_month) as first_month
    from amounts
    where amount > 0
    group by all
),

compared as (
    select
        months.billing_month,
        months.month_before,
        payers.customer_id,
        payers.currency,
        payers.first_month,
        coalesce(earlier.amount, 0) as amount_before,
        coalesce(later.amount, 0) as amount_after
    from months
    cross join payers
    left join amounts as later
        on later.billing_month = months.billing_month
        and later.customer_id = payers.customer_id
        and later.currency = payers.currency
    left join amounts as earlier
        on earlier.billing_month = months.month_before
        and earlier.customer_id = payers.customer_id
        and earlier.currency = payers.currency
)

select
    billing_month,
    customer_id,
    currency,
    amount_before::decimal(38, 4) as amount_before,
    amount_after::decimal(38, 4) as amount_after,
    (amount_after - amount_before)::decimal(38, 4) as change,
    case
        when month_before is null then 'opening'
        when amount_before = 0 and billing_month = first_month then 'new'
        when amount_before = 0 then 'reactivation'
        when amount_after = 0 then 'churn'
        when amount_after > amount_before then 'expansion'
        when amount_after < amount_before then 'contraction'
        else 'unchanged'
    end as movement
from compared
where amount_before > 0 or amount_after > 0
