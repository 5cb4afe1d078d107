{{ config(materialized='view') }}
-- grain: charge of the model `package`: ⌈quantity ÷ package_size⌉ × unit_amount
with
packages as (
    select
        *,
        billable.units // exact(package_size).units
        + case
            when billable.units % exact(package_size).units > 0 or billable.num > 0 then 1 else 0
        end as package_count
    from {{ ref('billable_quantities') }}
    where charge_model = 'package'
)

select
    * exclude (package_count),
    exact_times(exact(package_count::decimal(38, 0)), coalesce(unit_amount, 0)) as model_amount,
    '⌈' || exact_text(billable) || ' ÷ ' || plain(package_size) || '⌉ = ' || package_count
        || ' packages × ' || plain(coalesce(unit_amount, 0)) as model_text
from packages
