select
    billing_month,
    known_from,
    known_to,
    {{ known_column('invoice_id') }},
    {{ known_column('customer_id') }},
    {{ known_column('currency') }},
    {{ known_column('subtotal', 'decimal(38,4)') }},
    {{ known_column('discount', 'decimal(38,4)') }},
    {{ known_column('tax', 'decimal(38,4)') }},
    {{ known_column('total', 'decimal(38,4)') }},
    {{ known_column('wallet_applied', 'decimal(38,4)') }},
    {{ known_column('amount_due', 'decimal(38,4)') }},
    {{ known_column('line_count', 'integer') }}
from {{ all_months(source('as_known', 'known_rows')) }}
where table_name = 'invoices'
