with
computed as (
    select billing_month, currency, count(*) as invoices, sum(total) as total
    from {{ all_months(ref('invoices')) }}
    group by all
),

collected as (
    select
        billing_month,
        currency,
        sum(billed) as billed,
        sum(paid) as paid,
        sum(credited) as credited,
        sum(outstanding) as outstanding
    from {{ all_months(source('collection', 'invoice_payments')) }}
    group by all
)

select
    coalesce(computed.billing_month, collected.billing_month) as billing_month,
    coalesce(computed.currency, collected.currency) as currency,
    coalesce(computed.invoices, 0) as invoices,
    coalesce(computed.total, 0)::decimal(38, 4) as total,
    coalesce(collected.billed, 0)::decimal(38, 4) as billed,
    coalesce(collected.paid, 0)::decimal(38, 4) as paid,
    coalesce(collected.credited, 0)::decimal(38, 4) as credited,
    coalesce(collected.outstanding, 0)::decimal(38, 4) as outstanding
from computed
full outer join collected
    on computed.billing_month = collected.billing_month and computed.currency = collected.currency
