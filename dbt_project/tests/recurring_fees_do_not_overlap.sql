-- no recurring price is charged twice for the same time of one subscription
select earlier.charge_id
from {{ ref('charges') }} as earlier
inner join {{ ref('charges') }} as later
    on earlier.subscription_id = later.subscription_id
    and earlier.price_id = later.price_id
    and earlier.charge_id < later.charge_id
    and earlier.period_start < later.period_end
    and later.period_start < earlier.period_end
where
    earlier.kind in ('arrears', 'advance', 'advance_start')
    and later.kind in ('arrears', 'advance', 'advance_start')
