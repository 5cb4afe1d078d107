-- grain: event of a wallet, up to this month's end or the end of the last month that was billed after
-- it: a lot comes in, a row takes something out, an invoice took what it was billed to, a lot expires

-- `turn` is the order at one instant: an invoice takes before anything expires at its month's end, a
-- supplement afterwards, and what comes at that instant belongs to the next month. An invoice that is
-- billed after later months, or after the wallet has paid an open one, takes what these have left
-- (`after_month`, `after_payment_at`): what has expired by then stays expired.
with
deposits as (select * from {{ ref('wallet_deposits') }}),
transactions as (select * from {{ ref('stg_accounts__wallet_transactions') }}),
applications as (select * from {{ source('raw', 'wallet_applications') }}),
months as (select * from {{ ref('stg_months') }}),

events as (
    select
        customer_id, currency, 'in' as moves, kind, lot_id as event_id, lot_id, amount, came_at,
        priority, expires_at, is_prepaid, came_at as happens_at, 3 as turn, came_at as counts_at, reference
    from deposits
    union all by name
    select
        customer_id, currency, 'out' as moves, kind, transaction_id as event_id,
        case when kind <> 'payment' then reference end as lot_id,
        (-amount)::decimal(38, 12) as amount,
        case when spares_prepaid then 0 end as prepaid_limit,
        case when kind = 'payment' then occurred_at end as valid_at, occurred_at as happens_at,
        case when kind = 'payment' then 5 else 3 end as turn, occurred_at as counts_at,
        coalesce(reference, transaction_id) as reference
    from transactions
    where amount < 0
    union all by name
    select
        customer_id, currency, 'expire' as moves, 'expiry' as kind, lot_id as event_id, lot_id,
        greatest(expires_at, came_at) as happens_at,
        case when expires_at > came_at then 1 else 4 end as turn,
        -- what expires at a month's end belongs to that month
        greatest(expires_at - to_microseconds(1), came_at) as counts_at, lot_id as reference
    from deposits
    where expires_at is not null
    union all by name
    select
        applications.customer_id, applications.currency, 'out' as moves, 'invoice' as kind,
        'invoice' as event_id, applications.amount::decimal(38, 12) as amount,
        greatest(applications.billed_amount - applications.committed_amount, 0) as prepaid_limit,
        own.month_end as valid_at,
        coalesce(applications.after_payment_at, later.month_end) as happens_at,
        {{ invoice_turn('applications') }} as turn,
        own.month_start as counts_at
    from applications
    inner join months as own on applications.billing_month = own.billing_month
    inner join months as later
        on coalesce(applications.after_month, applications.billing_month) = later.billing_month
    where applications.amount > 0
)

select events.*, months.billing_month
from events
inner join {{ ref('wallet_turns') }} as turns
    on events.customer_id = turns.customer_id and events.currency = turns.currency
asof left join months on events.counts_at >= months.month_start
where
    events.happens_at < turns.happens_at
    or events.happens_at = turns.happens_at and events.turn <= greatest(turns.turn, 2)
