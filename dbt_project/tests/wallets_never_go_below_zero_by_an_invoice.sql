-- an invoice takes from a wallet only what is in it. What it took when it was billed it keeps, also
-- where the ledger says by now that there was less: that is owed
select ledger.customer_id, ledger.currency
from {{ ref('wallet_ledger') }} as ledger
left join {{ ref('wallet_balances') }} as wallets
    on ledger.customer_id = wallets.customer_id and ledger.currency = wallets.currency
where
    ledger.kind = 'invoice'
    and ledger.balance_after < 0
    and -ledger.amount > coalesce(wallets.taken_amount, 0)
