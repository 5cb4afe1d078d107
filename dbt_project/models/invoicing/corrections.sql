-- grain: line of a month whose books are closed that would be another today, as it stands on this
-- month's invoices. Found before the month is rated: the closed month's own rates tax it
select
    run.billing_month,
    {{ invoice_id('found.payer_id', 'found.currency', 'run.billing_month') }} as invoice_id,
    found.line_id,
    found.kind,
    found.corrected_month,
    found.corrected_line_id,
    found.corrected_kind,
    found.payer_id,
    found.customer_id,
    found.subscription_id,
    found.charge_id,
    found.price_id,
    found.tax_rate_id,
    found.is_inclusive,
    found.description,
    found.quantity::decimal(38, 18) as quantity,
    found.amount_before::decimal(38, 4) as amount_before,
    found.amount_now::decimal(38, 4) as amount_now,
    found.amount::decimal(38, 4) as amount,
    found.net_amount::decimal(38, 4) as net_amount,
    found.currency,
    found.period_start,
    found.period_end,
    found.calculation,
    found.cause,
    found.evidence
from {{ source('raw', 'corrections') }} as found
cross join {{ ref('stg_run') }} as run
