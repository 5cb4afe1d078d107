-- what is billed before it is earned is deferred, what is earned before it is billed is unbilled
with
parts as materialized (select * from {{ all_months(ref('revenue_schedule')) }}),

movements as materialized (
    select
        recognized_month as billing_month, customer_id, currency,
        amount as recognized, 0 as billed,
        case when recognized_month >= issued_month then -amount else 0 end as deferred,
        case when recognized_month < issued_month then amount else 0 end as unbilled
    from parts
    union all
    select
        issued_month as billing_month, customer_id, currency,
        0 as recognized, amount as billed,
        case when recognized_month >= issued_month then amount else 0 end as deferred,
        case when recognized_month < issued_month then -amount else 0 end as unbilled
    from parts
),

months as (
    select
        customer_id, currency,
        unnest(generate_series(min(billing_month), max(billing_month), interval 1 month))::date
            as billing_month
    from movements
    group by customer_id, currency
),

moved as materialized (
    select
        billing_month, customer_id, currency, sum(recognized) as recognized, sum(billed) as billed,
        sum(deferred) as deferred, sum(unbilled) as unbilled
    from movements
    group by all
),

balanced as (
    select
        months.billing_month, months.customer_id, months.currency,
        coalesce(moved.recognized, 0)::decimal(38, 4) as recognized,
        coalesce(moved.billed, 0)::decimal(38, 4) as billed,
        coalesce(sum(moved.deferred) over so_far, 0)::decimal(38, 4) as deferred,
        coalesce(sum(moved.unbilled) over so_far, 0)::decimal(38, 4) as unbilled
    from months
    left join moved
        on
            months.billing_month = moved.billing_month
            and months.customer_id = moved.customer_id
            and months.currency = moved.currency
    window so_far as (
        partition by months.customer_id, months.currency order by months.billing_month
        rows unbounded preceding
    )
)

select
    billing_month,
    customer_id,
    currency,
    recognized,
    billed,
    deferred,
    unbilled
from balanced
where recognized <> 0 or billed <> 0 or deferred <> 0 or unbilled <> 0
