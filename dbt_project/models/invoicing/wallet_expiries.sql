-- grain: lot of a wallet that has expired by the month's end; what was left of it then, also if nothing
with
deposits as (select * from {{ ref('wallet_deposits') }}),
changes as (select * from {{ ref('wallet_changes') }}),
run as (select * from {{ ref('stg_run') }})

select
    deposits.customer_id,
    deposits.currency,
    deposits.lot_id,
    greatest(deposits.expires_at, deposits.came_at) as expired_at,
    coalesce(-sum(changes.change), 0)::decimal(38, 12) as amount
from deposits
inner join run
    on deposits.expires_at <= run.month_end and deposits.came_at < run.month_end
left join changes
    on
        deposits.customer_id = changes.customer_id
        and deposits.currency = changes.currency
        and deposits.lot_id = changes.lot_id
        and changes.moves = 'expire'
group by all
