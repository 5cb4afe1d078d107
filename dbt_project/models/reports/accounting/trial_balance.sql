with
moved as materialized (
    select
        accounting_month, account, currency, sum(debit) as debit, sum(credit) as credit
    from {{ all_months(ref('journal')) }}
    group by all
),

last_months as (select currency, max(accounting_month) as last_month from moved group by currency),

months as (
    select
        moved.account, moved.currency,
        unnest(generate_series(
            min(moved.accounting_month), any_value(last_months.last_month), interval 1 month
        ))::date as billing_month
    from moved
    inner join last_months on moved.currency = last_months.currency
    group by moved.account, moved.currency
)

select
    months.billing_month,
    months.account,
    months.currency,
    coalesce(moved.debit, 0)::decimal(38, 12) as debit,
    coalesce(moved.credit, 0)::decimal(38, 12) as credit,
    sum(coalesce(moved.debit, 0) - coalesce(moved.credit, 0)) over (
        partition by months.account, months.currency order by months.billing_month
        rows unbounded preceding
    )::decimal(38, 12) as balance
from months
left join moved
    on
        months.billing_month = moved.accounting_month
        and months.account = moved.account
        and months.currency = moved.currency
