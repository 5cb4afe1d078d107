-- grain: lot of a wallet that came in by the month's end; what was used of it and what is left then
with
deposits as (select * from {{ ref('wallet_deposits') }}),
changes as (select * from {{ ref('wallet_changes') }}),
run as (select * from {{ ref('stg_run') }}),

moved as (
    select
        changes.customer_id, changes.currency, changes.lot_id,
        coalesce(sum(changes.change) filter (where changes.moves = 'in'), 0) as brought,
        coalesce(-sum(changes.change) filter (where changes.kind in ('invoice', 'payment')), 0) as paid,
        coalesce(-sum(changes.change) filter (
            where changes.kind = 'refund' and changes.moves = 'out'
        ), 0) as refunded,
        coalesce(-sum(changes.change) filter (where changes.kind = 'expiry'), 0) as expired,
        sum(changes.change) as remaining
    from changes
    inner join run on changes.billing_month <= run.billing_month
    where changes.lot_id is not null
    group by all
)

select
    run.billing_month,
    deposits.customer_id,
    deposits.currency,
    deposits.lot_id,
    deposits.kind,
    deposits.came_at as occurred_at,
    deposits.expires_at,
    deposits.priority::integer as priority,
    deposits.amount::decimal(38, 12) as amount,
    -- what fills a wallet that is overdrawn is used at once
    (coalesce(moved.paid, 0) + deposits.amount - coalesce(moved.brought, 0))::decimal(38, 12) as used,
    coalesce(moved.refunded, 0)::decimal(38, 12) as refunded,
    coalesce(moved.expired, 0)::decimal(38, 12) as expired,
    coalesce(moved.remaining, 0)::decimal(38, 12) as remaining,
    deposits.reference
from deposits
inner join run on deposits.came_at < run.month_end
left join moved
    on
        deposits.customer_id = moved.customer_id
        and deposits.currency = moved.currency
        and deposits.lot_id = moved.lot_id
