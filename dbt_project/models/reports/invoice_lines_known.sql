select
    billing_month,
    known_from,
    known_to,
    {{ known_column('line_id') }},
    {{ known_column('invoice_id') }},
    {{ known_column('customer_id') }},
    {{ known_column('kind') }},
    {{ known_column('charge_id') }},
    {{ known_column('currency') }},
    {{ known_column('description') }},
    {{ known_column('is_inclusive', 'boolean') }},
    {{ known_column('quantity', 'decimal(38,18)') }},
    {{ known_column('amount', 'decimal(38,4)') }}
from {{ all_months(source('as_known', 'known_rows')) }}
where table_name = 'invoice_lines'
