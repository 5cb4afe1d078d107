-- grain: part of what this month's invoices take from a wallet: what each took when it was billed,
-- and what is newly taken

-- Where less is due than was billed, the credit reduces the first of them first.
with
applications as (select * from {{ source('raw', 'wallet_applications') }}),
invoices as (select * from {{ ref('invoices') }}),
months as (select * from {{ ref('stg_months') }}),
run as (select * from {{ ref('stg_run') }}),

taken as (
    select
        applications.customer_id, applications.currency, applications.amount,
        greatest(applications.billed_amount - applications.committed_amount, 0) as prepaid_limit,
        coalesce(applications.after_payment_at, months.month_end) as happens_at,
        {{ invoice_turn('applications') }} as turn,
        sum(applications.amount) over (
            partition by applications.customer_id, applications.currency
            order by
                coalesce(applications.after_payment_at, months.month_end),
                {{ invoice_turn('applications') }}
            rows unbounded preceding
        ) - applications.amount as taken_before,
        sum(applications.amount) over (
            partition by applications.customer_id, applications.currency
        ) as taken_amount
    from applications
    inner join run on applications.billing_month = run.billing_month and applications.amount > 0
    inner join months
        on coalesce(applications.after_month, applications.billing_month) = months.billing_month
),

still_taken as (
    select
        taken.customer_id, taken.currency, taken.happens_at, taken.turn, taken.prepaid_limit,
        least(taken.amount, greatest(
            taken.taken_before + taken.amount
            - greatest(taken.taken_amount - coalesce(invoices.wallet_applied, 0), 0),
            0
        )) as amount
    from taken
    left join invoices
        on taken.customer_id = invoices.customer_id and taken.currency = invoices.currency
),

newly_taken as (
    select
        invoices.customer_id, invoices.currency, turns.happens_at, turns.turn,
        greatest(
            invoices.total - totals.committed_amount - wallets.billed_besides_commitments, 0
        ) as prepaid_limit,
        invoices.wallet_applied - wallets.taken_amount as amount
    from invoices
    inner join {{ ref('wallet_turns') }} as turns
        on invoices.customer_id = turns.customer_id and invoices.currency = turns.currency
    inner join {{ ref('wallet_balances') }} as wallets
        on invoices.customer_id = wallets.customer_id and invoices.currency = wallets.currency
    inner join {{ ref('invoice_totals') }} as totals on invoices.invoice_id = totals.invoice_id
)

select
    customer_id, currency, happens_at, turn, is_new,
    sum(amount)::decimal(38, 12) as amount,
    sum(prepaid_limit)::decimal(38, 12) as prepaid_limit
from (
    select *, false as is_new from still_taken
    union all by name
    select *, true as is_new from newly_taken
) as takings
where amount > 0
group by all
