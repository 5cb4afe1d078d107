{# The order in which lots pay: the lowest priority, what expires first, the oldest, by id. #}
{% macro payment_order() -%}
priority, coalesce(expires_at, 'infinity'::timestamptz), came_at, lot_id nulls last
{%- endmacro %}

{# A window: the lots of a wallet that pay before a lot. #}
{% macro earlier_lots() -%}
earlier_lots as (
    partition by customer_id, currency
    order by is_preferred desc, {{ payment_order() }}
    rows between unbounded preceding and 1 preceding
)
{%- endmacro %}

{# The turn in which each wallet's events happen. #}
{% macro wallet_step() -%}
row_number() over (partition by customer_id, currency order by happens_at, turn, event_id, moves)
{%- endmacro %}

{# The order of what happens at one instant: an invoice at its month's end (0), what expires (1), an
   invoice after a later month (2), rows (3), what expires as it comes (4), what a wallet pays of an
   open invoice (5), and an invoice that takes after that (6). #}
{% macro invoice_turn(taken) -%}
case when {{ taken }}.after_payment_at is not null then 6 when {{ taken }}.after_month is null then 0 else 2 end
{%- endmacro %}

{# What the events of wallets do to their lots, in the order of their steps: the CTEs of a `with
   recursive`, the last of which is `lots`. `events` has the columns of wallet_events and `step`, from 1.

   A row of `lots` is a lot after an event: what it `held` then, and the `change` by that event. The
   row without a lot is what is owed (0 or below): taken beyond all lots, and filled by the next ones.

   What takes from a wallet is played one after the other, for it takes from lots in turn. What comes
   in and what expires between two of these is played at once: a lot that expires changes no other, and
   what comes in fills what is owed first, which a running total tells. So a wallet costs as many
   rounds as it has takings, and each costs what is in the wallets then (`is_current`). #}
{% macro wallet_replay(events) -%}
batched as (
    select
        *,
        -- an even number between two takings, an odd one for each; without gaps, for the rounds follow
        dense_rank() over (
            partition by customer_id, currency
            order by 2 * takings - case when moves = 'out' then 1 else 0 end
        ) as batch
    from (
        select
            customer_id, currency, step, moves, amount, prepaid_limit, valid_at, lot_id, came_at,
            priority, expires_at, is_prepaid,
            count(*) filter (where moves = 'out') over (
                partition by customer_id, currency order by step rows unbounded preceding
            ) as takings
        from {{ events }}
    )
),

takings as (select * from batched where moves = 'out'),

quiet_batches as (
    select customer_id, currency, batch, min(step) as step
    from batched
    where moves <> 'out'
    group by all
),

quiet_events as (
    select
        came.* exclude (takings),
        -- what comes in meets the row of what is owed, which has no lot
        '' as meets,
        coalesce(sum(came.amount) over (
            partition by came.customer_id, came.currency, came.batch
            order by came.step
            rows between unbounded preceding and 1 preceding
        ), 0) as came_before,
        lead(came.step) over (
            partition by came.customer_id, came.currency, came.batch order by came.step
        ) is null as is_last,
        expired.step as expiry_step
    from batched as came
    left join batched as expired
        on
            came.customer_id = expired.customer_id
            and came.currency = expired.currency
            and came.batch = expired.batch
            and came.lot_id = expired.lot_id
            and expired.moves = 'expire'
    where came.moves = 'in'
    union all by name
    select customer_id, currency, batch, step, moves, lot_id as meets
    from batched
    where moves = 'expire'
),

lots as (
    select distinct
        customer_id, currency, 0::bigint as batch, 0::bigint as step, null::varchar as lot_id,
        null::timestamptz as came_at, null::integer as priority, null::timestamptz as expires_at,
        false as is_prepaid, 0::decimal(38, 12) as held, 0::decimal(38, 12) as change,
        true as is_current
    from {{ events }}
    union all
    (
        select
            customer_id, currency, batch, step, lot_id, came_at, priority, expires_at, is_prepaid,
            (held + change)::decimal(38, 12) as held, change,
            lot_id is null or held + change <> 0 as is_current
        from (
            select
                * exclude (held), held,
                (case
                    when lot_id is null then -greatest(amount - lots_held, 0)
                    -- first what each lot may pay; only what these do not hold comes from the rest
                    else -least(pays, greatest(amount - pays_before, 0))
                        - least(held - pays, greatest(amount - all_pay - rest_before, 0))
                end)::decimal(38, 12) as change
            from (
                select
                    paying.*,
                    sum(pays) over wallet as all_pay,
                    sum(case when lot_id is not null then held else 0 end) over wallet as lots_held,
                    coalesce(sum(pays) over earlier_lots, 0) as pays_before,
                    coalesce(sum(case when lot_id is not null then held - pays end) over earlier_lots, 0)
                        as rest_before
                from (
                    select
                        placed.*,
                        case
                            when lot_id is null or not is_preferred then 0
                            -- what is paid beforehand pays no line of a commitment
                            when is_prepaid and prepaid_limit is not null then least(held, greatest(
                                prepaid_limit - coalesce(sum(
                                    case when is_prepaid and is_preferred then held end
                                ) over earlier_lots, 0),
                                0
                            ))
                            else held
                        end as pays
                    from (
                        select
                            lots.customer_id, lots.currency, takings.batch, takings.step,
                            takings.amount, takings.prepaid_limit, lots.lot_id, lots.came_at,
                            lots.priority, lots.expires_at, lots.is_prepaid, lots.held,
                            -- a row takes from the lot that it names, an invoice from what is valid
                            -- at its month's end; only what these do not hold comes from the others
                            coalesce(
                                lots.lot_id = takings.lot_id,
                                lots.came_at < takings.valid_at
                                and coalesce(lots.expires_at >= takings.valid_at, true),
                                false
                            ) as is_preferred
                        from lots
                        inner join takings
                            on
                                lots.customer_id = takings.customer_id
                                and lots.currency = takings.currency
                                and lots.batch + 1 = takings.batch
                        where lots.is_current
                    ) as placed
                    window {{ earlier_lots() }}
                ) as paying
                window wallet as (partition by customer_id, currency), {{ earlier_lots() }}
            )
        )
        union all
        select
            customer_id, currency, batch, step, lot_id, came_at, priority, expires_at, is_prepaid,
            held, change, is_current
        from (
            select
                customer_id, currency, batch,
                case when copy = 'expiry' then expiry_step else step end as step,
                case when copy = 'held' then lot_id else new_lot_id end as lot_id,
                case when copy = 'held' then came_at else new_came_at end as came_at,
                case when copy = 'held' then priority else new_priority end as priority,
                case when copy = 'held' then expires_at else new_expires_at end as expires_at,
                case when copy = 'held' then is_prepaid else new_is_prepaid end as is_prepaid,
                (case
                    when copy = 'expiry' then 0
                    when copy = 'new' then amount - fills
                    when moves = 'expire' then 0
                    when moves = 'in' then fills - owed
                    else held
                end)::decimal(38, 12) as held,
                (case
                    when copy = 'expiry' then fills - amount
                    when copy = 'new' then amount - fills
                    when moves = 'expire' then -held
                    when moves = 'in' then fills
                    else 0
                end)::decimal(38, 12) as change,
                case
                    when copy = 'expiry' then false
                    when copy = 'new' then expiry_step is null and amount <> fills
                    when moves = 'expire' then false
                    else coalesce(is_last, true)
                end as is_current
            from (
                select *, least(amount, owed) as fills
                from (
                    select
                        lots.customer_id, lots.currency, quiet_batches.batch,
                        coalesce(quiet_events.step, quiet_batches.step) as step,
                        lots.lot_id, lots.came_at, lots.priority, lots.expires_at, lots.is_prepaid,
                        lots.held, quiet_events.moves, quiet_events.amount,
                        -- what those before it in this batch have not filled
                        greatest(-lots.held - quiet_events.came_before, 0) as owed,
                        quiet_events.lot_id as new_lot_id,
                        quiet_events.came_at as new_came_at,
                        quiet_events.priority as new_priority,
                        quiet_events.expires_at as new_expires_at,
                        quiet_events.is_prepaid as new_is_prepaid,
                        quiet_events.is_last, quiet_events.expiry_step
                    from lots
                    inner join quiet_batches
                        on
                            lots.customer_id = quiet_batches.customer_id
                            and lots.currency = quiet_batches.currency
                            and lots.batch + 1 = quiet_batches.batch
                    left join quiet_events
                        on
                            lots.customer_id = quiet_events.customer_id
                            and lots.currency = quiet_events.currency
                            and lots.batch + 1 = quiet_events.batch
                            and coalesce(lots.lot_id, '') = quiet_events.meets
                    where lots.is_current
                ) as met
            ) as filled
            -- what comes in begins a lot beside the row that it met, and may expire in the same batch
            cross join (values ('held'), ('new'), ('expiry')) as copies (copy)
            where
                copy = 'held'
                or copy = 'new' and moves = 'in'
                or copy = 'expiry' and expiry_step is not null
        ) as quiet
        where is_current or change <> 0
    )
)
{%- endmacro %}
