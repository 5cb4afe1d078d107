-- grain: charge × time since which it was known so
select
    billing_month,
    known_from,
    known_to,
    {{ known_column('charge_id') }},
    {{ known_column('customer_id') }},
    {{ known_column('subscription_id') }},
    {{ known_column('plan_id') }},
    {{ known_column('price_id') }},
    {{ known_column('meter_id') }},
    {{ known_column('charge_model') }},
    {{ known_column('currency') }},
    {{ known_column('description') }},
    {{ known_column('calculation') }},
    {{ known_column('price_terms') }},
    {{ known_column('subscription_terms') }},
    {{ known_column('quantity', 'decimal(38,18)') }},
    {{ known_column('billable_quantity', 'decimal(38,18)') }},
    {{ known_column('exact_amount', 'decimal(38,12)') }},
    {{ known_column('amount', 'decimal(38,4)') }},
    {{ known_column('event_count', 'bigint') }},
    {{ known_column('correction_count', 'bigint') }},
    {{ known_column('period_start', 'timestamptz') }},
    {{ known_column('period_end', 'timestamptz') }}
from {{ all_months(source('as_known', 'known_rows')) }}
where table_name = 'charges'
