{{ config(meta={'dagster': {'ref': {'name': 'wallet_lots'}}}) }}
-- a lot gives what it holds, never more, and nothing once it has expired; what all hold is the balance
with
run as (select * from {{ ref('stg_run') }}),

held as (
    select customer_id, currency, sum(remaining) as amount
    from {{ ref('wallet_lots') }}
    group by all
),

owed as (
    select changes.customer_id, changes.currency, sum(changes.change) as amount
    from {{ ref('wallet_changes') }} as changes
    inner join run on changes.billing_month <= run.billing_month
    where changes.lot_id is null
    group by all
)

select lots.customer_id, lots.currency, lots.lot_id
from {{ ref('wallet_lots') }} as lots
cross join run
where
    lots.remaining < 0
    or lots.amount - lots.used - lots.refunded - lots.expired <> lots.remaining
    or lots.remaining <> 0 and lots.expires_at <= run.month_end
union all
select ledger.customer_id, ledger.currency, ledger.lot_id
from {{ ref('wallet_ledger') }} as ledger
left join held on ledger.customer_id = held.customer_id and ledger.currency = held.currency
left join owed on ledger.customer_id = owed.customer_id and ledger.currency = owed.currency
where
    ledger.balance_after <> coalesce(held.amount, 0) + coalesce(owed.amount, 0)
    and ledger.movement_number = (
        select max(others.movement_number)
        from {{ ref('wallet_ledger') }} as others
        where others.customer_id = ledger.customer_id and others.currency = ledger.currency
    )
