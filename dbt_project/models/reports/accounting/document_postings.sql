{{ config(materialized='ephemeral') }}
-- grain: posting of a Stripe document: what it bills, and what is earned of it
with
parts as materialized (select * from {{ ref('posted_parts') }})

select
    billing_month, document_id as entry_id, issued_on as posted_on, document_kind as kind,
    payer_id as customer_id, invoice_id, document_id, currency, 'receivables' as debit,
    null::varchar as debit_detail,
    case when not is_revenue then account when is_unbilled then 'unbilled' else 'deferred' end as credit,
    case when account = 'tax' then detail end as credit_detail,
    sum(amount) as amount
from parts
group by all
union all by name
select
    billing_month, document_id || strftime(recognized_month, ':%Y-%m') as entry_id,
    last_day(recognized_month) as posted_on, 'recognition' as kind, payer_id as customer_id,
    invoice_id, document_id, currency,
    case when is_unbilled then 'unbilled' else 'deferred' end as debit,
    account as credit, detail as credit_detail, sum(amount) as amount
from parts
where is_revenue
group by all
