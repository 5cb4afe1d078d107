{{ config(materialized='ephemeral') }}
-- grain: Stripe document that stands, with the day of its issue in the billing time zone and the
-- thousandths of a major unit that the minor unit of its currency has
with
zone as (select * from {{ ref('billing_zone') }}),

currencies as (
    select currency, max(decimal_places) as decimal_places
    from {{ all_months(ref('currencies')) }}
    group by currency
),

documents as (
    select
        *,
        list(document_id) filter (where status = 'void') over (partition by invoice_id) as void_ids
    from {{ all_months(ref('documents')) }}
)

select
    documents.* exclude (void_ids),
    zone.name as zone,
    timezone(zone.name, documents.issued_at)::date as issued_on,
    date_trunc('month', timezone(zone.name, documents.issued_at))::date as issued_month,
    case coalesce(currencies.decimal_places, 2) when 0 then 1000 when 1 then 100 when 2 then 10 else 1 end
        as thousandths
from documents
cross join zone
left join currencies on documents.currency = currencies.currency
-- what was made void is owed by nobody, and neither is what was credited of it
where
    documents.status <> 'void'
    and not coalesce(list_contains(documents.void_ids, documents.corrects_id), false)
