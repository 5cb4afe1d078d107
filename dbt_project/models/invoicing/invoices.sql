-- grain: customer × currency × month
with
totals as (select * from {{ ref('invoice_totals') }}),
wallets as (select * from {{ ref('wallet_balances') }}),
currencies as (select * from {{ source('raw', 'currencies') }}),
run as (select * from {{ ref('stg_run') }}),

paid_by_wallet as (
    select
        totals.*,
        -- a billed invoice keeps the amount that it took; only an amount due beyond it may take
        -- more, in whole minor units: fractions stay in the wallet
        greatest(least(
            totals.total,
            coalesce(wallets.taken_amount, 0) + least(
                greatest(totals.total - coalesce(wallets.billed_amount, 0), 0),
                exact_decimal(
                    exact(
                        coalesce(wallets.available_amount, 0)
                        -- what is paid beforehand pays no line of a commitment
                        + coalesce(least(wallets.prepaid_amount, greatest(
                            totals.total - totals.committed_amount
                            - wallets.billed_besides_commitments,
                            0
                        )), 0)
                    ).units
                    // minor_units(currencies.exponent) * minor_units(currencies.exponent)
                )
            )
        ), 0) as wallet_applied
    from totals
    inner join currencies on totals.currency = currencies.currency
    left join wallets
        on totals.customer_id = wallets.customer_id and totals.currency = wallets.currency
)

select
    paid.invoice_id,
    run.billing_month,
    paid.customer_id,
    paid.currency,
    paid.subtotal::decimal(38, 4) as subtotal,
    paid.discount::decimal(38, 4) as discount,
    paid.tax::decimal(38, 4) as tax,
    paid.tax_included::decimal(38, 4) as tax_included,
    paid.total::decimal(38, 4) as total,
    paid.wallet_applied::decimal(38, 4) as wallet_applied,
    -- a total below 0 is due to nobody: it becomes credit of the payer's
    greatest(paid.total - paid.wallet_applied, 0)::decimal(38, 4) as amount_due,
    ((run.billing_month + to_months(1))::date + coalesce(paid.days_until_due, 0)::integer)::date
        as due_date,
    paid.line_count::integer as line_count,
    paid.collection_method,
    paid.days_until_due::integer as days_until_due,
    paid.content_hash
from paid_by_wallet as paid
cross join run
