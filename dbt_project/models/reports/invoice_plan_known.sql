select
    billing_month,
    row_id,
    known_from,
    known_to,
    {{ known_column('plan_hash') }},
    {{ known_column('action') }},
    {{ known_column('invoice_id') }},
    {{ known_column('revision', 'integer') }},
    {{ known_column('customer_id') }},
    {{ known_column('currency') }},
    {{ known_column('cause') }},
    {{ known_column('reason') }},
    {{ known_column('state') }},
    {{ known_column('amount_before', 'decimal(38,4)') }},
    {{ known_column('amount_after', 'decimal(38,4)') }},
    {{ known_column('amount_change', 'decimal(38,4)') }}
from {{ all_months(source('as_known', 'known_rows')) }}
where table_name = 'invoice_plan'
