{{ config(materialized='ephemeral') }}
-- grain: Stripe document that stands, with the day of its issue in the billing time zone and the
-- thousandths of a major unit that the minor unit of its currency has
with
zone as (select * from {{ ref('billing_zone') }}),

places as (
    select currency, max(decimal_places) as decimal_places
    from {{ all_months(ref('currencies')) }}
    group by currency
),

known as (
    select
        *,
        list(document_id) filter (where status = 'void') over (partition by invoice_id) as void_ids
    from {{ all_months(ref('documents')) }}
)

select
    known.* exclude (void_ids),
    zone.name as zone,
    timezone(zone.name, known.issued_at)::date as issued_on,
    date_trunc('month', timezone(zone.name, known.issued_at))::date as issued_month,
    case coalesce(places.decimal_places, 2) when 0 then 1000 when 1 then 100 when 2 then 10 else 1 end
        as thousandths
from known
cross join zone
left join places on known.currency = places.currency
-- what was made void is owed by nobody, and neither is what was credited of it
where
    known.status <> 'void'
    and not coalesce(list_contains(known.void_ids, known.corrects_id), false)
