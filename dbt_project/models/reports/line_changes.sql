-- Each line of an invoice that is another than it was billed before, with the cause: of a charge as
-- in charge_changes, of what is computed from other lines those.
with
lines as (select * from {{ ref('compared_lines') }}),

charges as (
    select invoice_id, version_after, charge_id, {{ change_causes() }} as cause
    from {{ ref('compared_charges') }}
),

moved as (
    select distinct invoice_id, version_after, true as is_moved
    from lines
    where kind in ('charge', 'adjustment', 'correction') and amount_before <> amount_after
),

rates as (
    select invoice_id, version, tax_rate_id, max(percentage) as percentage
    from {{ all_months(source('as_billed', 'line_taxes_as_billed')) }}
    group by invoice_id, version, tax_rate_id
)

select
    lines.billing_month,
    lines.invoice_id,
    lines.customer_id,
    lines.currency,
    lines.version_before,
    lines.version_after,
    lines.line_id,
    lines.kind,
    lines.charge_id,
    lines.description,
    lines.quantity_before,
    lines.quantity_after,
    lines.amount_before,
    lines.amount_after,
    (lines.amount_after - lines.amount_before)::decimal(38, 4) as change,
    case
        when lines.kind = 'charge' then coalesce(charges.cause, 'other')
        when lines.kind = 'adjustment' then 'adjustment'
        when lines.kind = 'correction' then 'closed books'
        when before.percentage <> after.percentage then 'tax change'
        when moved.is_moved then 'follows other lines'
        when lines.kind = 'tax' then 'tax change'
        when lines.kind = 'discount' then 'coupon change'
        else 'account change'
    end as cause
from lines
left join charges
    on lines.invoice_id = charges.invoice_id
    and lines.version_after = charges.version_after
    and lines.charge_id = charges.charge_id
left join moved
    on lines.invoice_id = moved.invoice_id and lines.version_after = moved.version_after
left join rates as before
    on lines.invoice_id = before.invoice_id
    and lines.version_before = before.version
    and lines.tax_rate_id = before.tax_rate_id
left join rates as after
    on lines.invoice_id = after.invoice_id
    and lines.version_after = after.version
    and lines.tax_rate_id = after.tax_rate_id
