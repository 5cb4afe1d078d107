-- grain: movement of a wallet in the month × lot that it concerns: what comes in, what is taken out,
-- what invoices took, what was paid of open ones, what expires
with
changes as (select * from {{ ref('wallet_changes') }}),
invoices as (select * from {{ ref('invoices') }}),
months as (select * from {{ ref('stg_months') }}),
run as (select * from {{ ref('stg_run') }}),

movements as (
    select
        changes.customer_id, changes.currency, changes.billing_month, changes.kind, changes.event_id,
        -- an invoice stands at its month's end, also where it was billed after later months
        case when changes.kind = 'invoice' then months.month_end else changes.happens_at end
            as occurred_at,
        case when changes.kind = 'invoice' then 0 else changes.turn end as turn,
        changes.reference,
        -- what comes in is one movement, also where it fills what was owed
        case when changes.moves = 'in' then changes.event_id else changes.lot_id end as lot_id,
        max(changes.priority) as priority,
        max(changes.expires_at) as expires_at,
        max(changes.came_at) as came_at,
        sum(changes.change) as amount
    from changes
    inner join months on changes.billing_month = months.billing_month
    cross join run
    where changes.billing_month <= run.billing_month
    group by all
),

numbered as (
    select
        *,
        row_number() over (
            partition by customer_id, currency
            order by occurred_at, turn, event_id, {{ payment_order() }}
        ) as movement_number
    from movements
),

balanced as (
    select
        *,
        sum(amount) over (
            partition by customer_id, currency order by movement_number rows unbounded preceding
        ) as balance_after
    from numbered
)

select
    run.billing_month,
    balanced.customer_id,
    balanced.currency,
    balanced.movement_number::bigint as movement_number,
    balanced.occurred_at,
    balanced.kind,
    balanced.amount::decimal(38, 12) as amount,
    balanced.balance_after::decimal(38, 12) as balance_after,
    case when balanced.kind = 'invoice' then invoices.invoice_id else balanced.reference end
        as reference,
    balanced.lot_id
from balanced
inner join run on balanced.billing_month = run.billing_month
left join invoices
    on
        balanced.kind = 'invoice'
        and balanced.customer_id = invoices.customer_id
        and balanced.currency = invoices.currency
