{{ config(materialized='view') }}
-- grain: charge of the model `dynamic`: the amount comes with the events, in major units, times
-- unit_amount (1 where the price has none)
select
    *,
    exact_times(billable, coalesce(unit_amount, 1)) as model_amount,
    exact_text(billable) || ' × ' || plain(coalesce(unit_amount, 1)) as model_text
from {{ ref('billable_quantities') }}
where charge_model = 'dynamic'
