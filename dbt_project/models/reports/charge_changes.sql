select
    billing_month,
    invoice_id,
    customer_id,
    currency,
    version_before,
    version_after,
    charge_id,
    subscription_id,
    price_id,
    quantity_before,
    quantity_after,
    amount_before,
    amount_after,
    (amount_after - amount_before)::decimal(38, 4) as change,
    {{ change_causes() }} as cause
from {{ ref('compared_charges') }}
where was_there <> is_there or is_other_amount or quantity_before is distinct from quantity_after
