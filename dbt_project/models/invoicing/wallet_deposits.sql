-- grain: lot of a wallet: what a transaction, a commitment that is paid beforehand, or an invoice
-- whose total is below 0 has put in
with
transactions as (select * from {{ ref('stg_accounts__wallet_transactions') }})

select
    given.customer_id,
    given.currency,
    given.transaction_id as lot_id,
    given.kind,
    given.amount::decimal(38, 12) as amount,
    given.occurred_at as came_at,
    -- what a dispute brings back is what it took: valid for as long, and in its turn
    coalesce(given.priority, disputed.priority, 100) as priority,
    coalesce(given.expires_at, disputed.expires_at) as expires_at,
    coalesce(given.reference, given.transaction_id) as reference,
    false as is_prepaid
from transactions as given
left join transactions as disputed
    on
        given.kind = 'refund'
        and given.reference = disputed.transaction_id
        and given.customer_id = disputed.customer_id
        and given.currency = disputed.currency
where given.amount > 0
union all by name
select
    customer_id, currency, lot_id, 'commitment' as kind, amount, came_at, 0 as priority, expires_at,
    commitment_id as reference, true as is_prepaid
from {{ ref('prepaid_lots') }}
union all by name
select
    customer_id, currency, 'billing_credit:' || invoice_id as lot_id, 'credit' as kind, amount,
    came_at, 100 as priority, invoice_id as reference, false as is_prepaid
from {{ ref('wallet_credits') }}
