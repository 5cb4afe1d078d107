{{ config(materialized='view') }}
-- grain: charge of the model `flat`: flat_amount, independent of the quantity; with a meter, only if
-- the billable quantity is above 0
select
    *,
    case
        when meter_id is null or billable.units > 0 or billable.num > 0
            then exact(coalesce(flat_amount, 0))
        else exact(0)
    end as model_amount,
    case
        when meter_id is null or billable.units > 0 or billable.num > 0
            then 'flat ' || plain(coalesce(flat_amount, 0))
        else 'flat fee not due: nothing billable was used'
    end as model_text
from {{ ref('billable_quantities') }}
where charge_model = 'flat'
