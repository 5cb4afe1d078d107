{{ config(materialized='ephemeral') }}
-- grain: line that an invoice has, or had when it was issued first; change of one that a supplement or a
-- credit note billed; or charge of 0 of a payer. A tax that prices include informs and adds nothing
with
issued as (
    select
        *,
        bool_or(kind <> 'invoice') over (partition by invoice_id)
        and bool_or(kind = 'invoice' and version_before is not null) over (partition by invoice_id)
            as is_changed
    from {{ all_months(ref('documents')) }}
    where status <> 'void'
),

changed as (select * from issued where is_changed),

-- each once, though a change of its taxes may have made two of it
billed as (
    select
        changed.document_id, lines.line_id,
        {%- for column in [
            'customer_id', 'subscription_id', 'plan_id', 'price_id', 'meter_id', 'charge_model', 'kind',
            'charge_id', 'commitment_id', 'description', 'period_start', 'period_end',
        ] %}
        any_value(lines.{{ column }}) as {{ column }},
        {%- endfor %}
        sum(lines.quantity)::decimal(38, 18) as quantity,
        sum(lines.billable_quantity)::decimal(38, 18) as billable_quantity,
        sum(lines.amount)::decimal(38, 4) as amount
    from changed
    inner join {{ all_months(ref('document_lines')) }} as lines
        on changed.document_id = lines.document_id and not lines.is_inclusive
    group by changed.document_id, lines.line_id
),

rated as (
    select
        charge_id, billing_month, quantity, billable_quantity, plan_id, price_id, meter_id, charge_model
    from {{ all_months(ref('charges')) }}
)

select
    lines.billing_month, lines.line_id, lines.invoice_id, lines.customer_id, lines.subscription_id,
    lines.kind, lines.charge_id, lines.commitment_id, lines.description, lines.amount, lines.currency,
    lines.period_start, lines.period_end, rated.* exclude (charge_id, billing_month),
    lines.corrected_month is not null as is_correction
from {{ all_months(ref('invoice_lines')) }} as lines
left join rated
    on lines.charge_id = rated.charge_id and lines.billing_month = rated.billing_month
where not lines.is_inclusive and lines.invoice_id not in (select invoice_id from changed)
union all by name
-- one whose lines are not recorded is a row by itself
select
    changed.billing_month, changed.invoice_id, changed.currency, changed.document_id,
    billed.* exclude (document_id, customer_id, kind, description, amount),
    coalesce(billed.customer_id, changed.customer_id) as customer_id,
    coalesce(billed.kind, changed.kind) as kind,
    coalesce(billed.description, 'Credit note ' || changed.number) as description,
    coalesce(billed.amount, changed.amount) as amount,
    changed.kind <> 'invoice' as is_correction,
    case when changed.kind <> 'invoice' then changed.issued_at end as corrected_at
from changed
left join billed on changed.document_id = billed.document_id
union all by name
select
    charges.billing_month, charges.customer_id, charges.subscription_id, 'charge' as kind,
    charges.charge_id, charges.description, charges.amount, charges.currency, charges.period_start,
    charges.period_end, charges.quantity, charges.billable_quantity, charges.plan_id,
    charges.price_id, charges.meter_id, charges.charge_model, false as is_correction
from {{ all_months(ref('charges')) }} as charges
inner join {{ all_months(ref('customers')) }} as customers
    on charges.customer_id = customers.customer_id
    and charges.billing_month = customers.billing_month
    and customers.is_payer
where charges.amount = 0
