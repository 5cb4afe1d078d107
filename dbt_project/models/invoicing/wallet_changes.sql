-- grain: event of a wallet × lot that it changes; without a lot: what is owed
with recursive
run as (select * from {{ ref('stg_run') }}),

events as (
    select events.*, {{ wallet_step() }} as step
    from (
        select events.*
        from {{ ref('wallet_events') }} as events
        cross join run
        where events.kind <> 'invoice' or events.billing_month <> run.billing_month
        union all by name
        select
            takings.customer_id, takings.currency, 'out' as moves, 'invoice' as kind,
            'invoice' as event_id, takings.amount, takings.prepaid_limit, run.month_end as valid_at,
            takings.happens_at, takings.turn, run.billing_month
        from {{ ref('wallet_takings') }} as takings
        cross join run
    ) as events
),

{{ wallet_replay('events') }}

select
    lots.customer_id,
    lots.currency,
    lots.step,
    events.billing_month,
    events.moves,
    events.kind,
    events.event_id,
    events.happens_at,
    events.turn,
    events.reference,
    lots.lot_id,
    lots.came_at,
    lots.priority,
    lots.expires_at,
    lots.change
from lots
inner join events
    on
        lots.customer_id = events.customer_id
        and lots.currency = events.currency
        and lots.step = events.step
where lots.change <> 0
