{{ config(materialized='view') }}
-- grain: charge of the model `dynamic`: the amount that the events carry, in major units, times
-- unit_amount (default 1)
select
    *,
    exact_times(billable, coalesce(unit_amount, 1)) as model_amount,
    exact_text(billable) || ' × ' || plain(coalesce(unit_amount, 1)) as model_text
from {{ ref('billable_quantities') }}
where charge_model = 'dynamic'
