-- an invoice takes from a wallet only what its lots hold. What it took when it was billed it keeps,
-- also where the ledger says by now that there was less: that is owed
with
owed as (
    select customer_id, currency, sum(-amount) as amount
    from {{ ref('wallet_ledger') }}
    where kind = 'invoice' and (lot_id is null or balance_after < 0)
    group by all
)

select owed.customer_id, owed.currency
from owed
left join {{ ref('wallet_balances') }} as wallets
    on owed.customer_id = wallets.customer_id and owed.currency = wallets.currency
where owed.amount > coalesce(wallets.taken_amount, 0)
