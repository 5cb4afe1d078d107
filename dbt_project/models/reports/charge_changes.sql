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
    coalesce(nullif(concat_ws(
        ', ',
        case
            when more_events > 0 then 'late usage'
            when more_events < 0 then 'usage removed'
            -- as many events and another value: one was replaced, or a gauge was carried on
            when
                is_usage and quantity_before <> quantity_after
                and not (is_corrected or is_other_price or is_other_account)
                then 'usage changed'
        end,
        case when is_corrected then 'correction' end,
        case
            when is_other_price or (was_there <> is_there and not is_other_account)
                then 'price change'
        end,
        case when is_other_account then 'account change' end
    ), ''), 'other') as cause
from {{ ref('compared_charges') }}
where was_there <> is_there or is_other_amount or quantity_before is distinct from quantity_after
