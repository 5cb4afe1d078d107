{{ config(meta={'dagster': {'ref': {'name': 'charges'}}}) }}
-- every billable quantity has exactly one charge: no charge model drops or doubles one
select quantities.charge_id
from {{ ref('billable_quantities') }} as quantities
left join {{ ref('charges') }} as charges on quantities.charge_id = charges.charge_id
where quantities.kind not in ('run_rate', 'cost')
group by quantities.charge_id
having count(charges.charge_id) <> 1
