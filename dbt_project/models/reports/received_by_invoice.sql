{{ config(materialized='ephemeral', access='private') }}
-- grain: our invoice of which something was paid: what Stripe collected, and what of it came to the
-- bank
with
moved as (
    select *, coalesce(method, '') not in ('outside_stripe', 'wallet') as is_through_stripe
    from {{ all_months(source('collection', 'payments')) }}
),

arrived as (select * from {{ all_months(source('collection', 'payouts')) }})

select
    moved.billing_month,
    moved.invoice_id,
    sum(moved.amount) filter (where moved.kind = 'payment') as received,
    -coalesce(sum(moved.amount) filter (where moved.kind <> 'payment'), 0) as went_back,
    coalesce(sum(moved.amount) filter (where moved.method = 'outside_stripe'), 0)
        as outside_stripe,
    coalesce(sum(moved.amount) filter (where moved.method = 'wallet'), 0) as from_wallet,
    coalesce(sum(moved.amount) filter (where moved.is_through_stripe), 0) as through_stripe,
    count(*) filter (where moved.is_through_stripe and moved.net is null) as not_booked,
    count(distinct moved.fee_currency) as settlements,
    any_value(moved.fee_currency) as settlement_currency,
    sum(moved.fee) as fees,
    sum(moved.net) as net,
    coalesce(sum(moved.net) filter (where arrived.status = 'paid'), 0) as paid_out,
    coalesce(bool_or(arrived.status in ('failed', 'canceled')), false) as has_failed_payout,
    string_agg(distinct moved.payout_id, ';' order by moved.payout_id) as payout_ids,
    max(arrived.arrives_on) as last_payout_on
from moved
left join arrived
    on moved.billing_month = arrived.billing_month and moved.payout_id = arrived.payout_id
group by moved.billing_month, moved.invoice_id
