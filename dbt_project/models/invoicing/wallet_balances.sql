-- grain: customer × currency with a wallet: the amount that this month's invoices have already
-- taken, and the amounts still available to them

-- An amount that an invoice of any month took is never given to another one, so that a rerun finds
-- the billed amounts and nothing is spent twice.
with recursive
turns as (select * from {{ ref('wallet_turns') }}),
applications as (select * from {{ source('raw', 'wallet_applications') }}),
run as (select * from {{ ref('stg_run') }}),

events as (
    select events.*, {{ wallet_step() }} as step
    from (
        select events.*
        from {{ ref('wallet_events') }} as events
        inner join turns
            on events.customer_id = turns.customer_id and events.currency = turns.currency
        where events.happens_at < turns.happens_at or turns.turn >= 2
    ) as events
),

{{ wallet_replay('events') }},

available as (
    select
        lots.customer_id, lots.currency,
        coalesce(sum(lots.change) filter (where not lots.is_prepaid), 0) as available_amount,
        coalesce(sum(lots.change) filter (where lots.is_prepaid), 0) as prepaid_amount
    from lots
    cross join run
    where
        lots.lot_id is not null
        and lots.came_at < run.month_end
        and coalesce(lots.expires_at >= run.month_end, true)
    group by all
),

of_this_month as (
    select applications.customer_id, applications.currency, sum(greatest(applications.amount, 0)) as amount,
        sum(applications.billed_amount) as billed_amount,
        sum(applications.billed_amount - applications.committed_amount) as billed_besides
    from applications
    inner join run on applications.billing_month = run.billing_month
    group by all
)

select
    turns.customer_id,
    turns.currency,
    coalesce(available.available_amount, 0) as available_amount,
    coalesce(available.prepaid_amount, 0) as prepaid_amount,
    coalesce(of_this_month.amount, 0) as taken_amount,
    coalesce(of_this_month.billed_amount, 0) as billed_amount,
    coalesce(of_this_month.billed_besides, 0) as billed_besides_commitments
from turns
left join available
    on turns.customer_id = available.customer_id and turns.currency = available.currency
left join of_this_month
    on turns.customer_id = of_this_month.customer_id and turns.currency = of_this_month.currency
