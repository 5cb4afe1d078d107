{{ config(materialized='view') }}
-- grain: charge of the model `per_unit`: quantity × unit_amount
select
    *,
    exact_times(billable, coalesce(unit_amount, 0)) as model_amount,
    exact_text(billable) || ' × ' || plain(coalesce(unit_amount, 0)) as model_text
from {{ ref('billable_quantities') }}
where charge_model = 'per_unit'
