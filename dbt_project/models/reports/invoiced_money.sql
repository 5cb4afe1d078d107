-- grain: month × currency: from charges to what is due
with
charged as (
    select billing_month, currency, sum(amount) as charges
    from {{ all_months(ref('charges')) }}
    group by billing_month, currency
),

lines as (
    select
        billing_month,
        currency,
        sum(amount) filter (where kind = 'charge') as charge_lines,
        sum(amount) filter (where kind = 'minimum') as minimums,
        -sum(amount) filter (where kind = 'discount') as less_discounts,
        sum(amount) filter (where kind in ('commitment', 'overage')) as commitments,
        sum(amount) filter (where kind in ('adjustment', 'correction')) as adjustments,
        sum(amount) filter (where kind = 'tax') as taxes
    from {{ all_months(ref('invoice_lines')) }}
    where not is_inclusive
    group by billing_month, currency
),

invoiced as (
    select
        billing_month,
        currency,
        sum(total) as invoiced,
        sum(wallet_applied) as less_wallets,
        -sum(total) filter (where total < 0) as put_into_wallets,
        sum(amount_due) as due
    from {{ all_months(ref('invoices')) }}
    group by billing_month, currency
)

select
    coalesce(charged.billing_month, invoiced.billing_month) as billing_month,
    coalesce(charged.currency, invoiced.currency) as currency,
    charged.charges,
    coalesce(charged.charges, 0) - coalesce(lines.charge_lines, 0) as less_not_invoiced,
    lines.minimums,
    lines.less_discounts,
    lines.commitments,
    lines.adjustments,
    lines.taxes,
    invoiced.invoiced,
    invoiced.less_wallets,
    invoiced.put_into_wallets,
    invoiced.due
from charged
full outer join invoiced
    on charged.billing_month = invoiced.billing_month and charged.currency = invoiced.currency
left join lines
    on invoiced.billing_month = lines.billing_month and invoiced.currency = lines.currency
