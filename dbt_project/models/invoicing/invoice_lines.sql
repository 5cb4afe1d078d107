-- grain: invoice line
with
billed as (select * from {{ ref('billed_customers') }}),
run as (select * from {{ ref('stg_run') }}),

lines as (select * from {{ ref('lines_before_tax') }}),

placed as (
    select billed.invoice_id, lines.*, false as is_inclusive, null::varchar as tax_rate_id
    from lines
    inner join billed on lines.payer_id = billed.customer_id and lines.currency = billed.currency
    union all by name
    select *, customer_id as payer_id from {{ ref('taxes') }}
    union all by name
    select
        invoice_id, line_id, customer_id, kind, description, amount, currency, tax_rate_id, is_inclusive,
        calculation, payer_id, corrected_month
    from {{ ref('corrections') }}
    where kind = 'tax'
)

select
    placed.line_id,
    placed.invoice_id,
    run.billing_month,
    placed.customer_id,
    placed.subscription_id,
    placed.kind,
    placed.charge_id,
    placed.coupon_id,
    placed.commitment_id,
    placed.adjustment_id,
    placed.tax_rate_id,
    placed.is_inclusive,
    (row_number() over (
        partition by placed.invoice_id
        order by
            -- the payer's own, those of each customer that is billed to it, taxes
            case when placed.kind = 'tax' then 1 else 0 end,
            case when placed.customer_id = placed.payer_id then 0 else 1 end,
            placed.customer_id,
            case placed.kind
                when 'charge' then 1 when 'minimum' then 2 when 'discount' then 3
                when 'commitment' then 4 when 'overage' then 5 when 'adjustment' then 6 else 7
            end,
            placed.corrected_month nulls first,
            placed.subscription_id, placed.period_start, placed.description, placed.line_id
    ))::integer as position,
    placed.description,
    coalesce(placed.quantity, 1)::decimal(38, 18) as quantity,
    placed.amount::decimal(38, 4) as amount,
    placed.currency,
    placed.period_start,
    placed.period_end,
    placed.calculation,
    placed.corrected_month
from placed
cross join run
