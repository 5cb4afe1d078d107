-- an invoice takes from a wallet only what is in it
select customer_id, currency
from {{ ref('wallet_ledger') }}
where kind = 'invoice' and balance_after < 0
