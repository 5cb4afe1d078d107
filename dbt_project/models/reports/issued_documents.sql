{{ config(materialized='ephemeral') }}
-- grain: Stripe document: invoice, supplement or credit note, with the two versions of its invoice
-- whose difference it bills
with
held as (select * from {{ ref('held_documents') }}),
lines as (select * from {{ all_months(source('as_billed', 'lines_as_billed')) }}),

version_totals as (
    select invoice_id, version, sum(amount) filter (where not is_inclusive) as total
    from lines
    group by all
),

ordered as (
    select
        *,
        coalesce(last_value(version ignore nulls) over (
            partition by invoice_id order by position
            rows between unbounded preceding and 1 preceding
        ), 0) as earlier_version,
        coalesce(bool_or(status <> 'void' and corrects_id is null) over (
            partition by invoice_id order by position
            rows between unbounded preceding and 1 preceding
        ), false) as is_further
    from held
),

compared as (
    select
        ordered.*,
        coalesce(present.total, 0) as total,
        coalesce(earlier.total, 0) as earlier_total,
        -- without the lines of a version nothing is known of its content
        ordered.version is not null
        and (ordered.version = 0 or present.total is not null)
        and (ordered.earlier_version = 0 or earlier.total is not null) as is_recorded
    from ordered
    left join version_totals as present
        on ordered.invoice_id = present.invoice_id and ordered.version = present.version
    left join version_totals as earlier
        on ordered.invoice_id = earlier.invoice_id and ordered.earlier_version = earlier.version
)

select
    billing_month,
    document_id,
    case
        when corrects_id is not null then 'credit_note'
        when is_further then 'supplement'
        else 'invoice'
    end as kind,
    number,
    invoice_id,
    revision,
    position::integer as position,
    corrects_id,
    customer_id,
    currency,
    issued_at,
    due_at,
    amount::decimal(38, 4) as amount,
    amount_due::decimal(38, 4) as amount_due,
    status,
    case when is_recorded then version end::integer as version,
    -- what was issued again after it was made void bills all of its version
    case
        when is_recorded and total - earlier_total = amount then earlier_version
        when is_recorded and total = amount then 0
    end::integer as version_before
from compared
