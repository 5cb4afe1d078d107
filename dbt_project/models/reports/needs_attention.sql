with
found as (
    select * from {{ ref('attention_to_usage') }}
    union all by name
    select * from {{ ref('attention_to_pricing') }}
    union all by name
    select * from {{ ref('attention_to_invoices') }}
    union all by name
    select * from {{ ref('attention_to_stripe') }}
    union all by name
    select * from {{ ref('attention_to_payments') }}
    union all by name
    select * from {{ ref('attention_to_cards') }}
    union all by name
    select * from {{ ref('attention_to_money') }}
)

select
    billing_month,
    part,
    kind,
    subject,
    customer_id,
    invoice_id,
    revision,
    plan_hash,
    currency,
    amount,
    coalesce(items, 1)::bigint as items,
    reason
from found
