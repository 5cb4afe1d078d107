{# The order in which lots pay: the lowest priority, what expires first, the oldest, by id. #}
{% macro order_of_paying() -%}
priority, coalesce(expires_at, 'infinity'::timestamptz), came_at, lot_id nulls last
{%- endmacro %}

{# A window: the lots of a wallet that pay before a lot. #}
{% macro earlier_lots() -%}
earlier_lots as (
    partition by customer_id, currency
    order by is_preferred desc, {{ order_of_paying() }}
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

{# What the events of wallets do to their lots, one event after the other; the body of a recursive
   CTE named `lots`. `events` has the columns of wallet_events and `step`, from 1.

   A row is a lot after an event: what it `held` then, and the `change` by that event. The row
   without a lot is what is owed (0 or below): taken beyond all lots, and filled by the next ones.
   An empty lot is not carried on: a step costs what is in the wallets then. #}
{% macro wallet_replay(events) -%}
select distinct
    customer_id, currency, 0::bigint as step, null::varchar as lot_id,
    null::timestamptz as came_at, null::integer as priority, null::timestamptz as expires_at,
    false as is_prepaid, 0::decimal(38, 12) as held, 0::decimal(38, 12) as change
from {{ events }}
union all
select
    customer_id, currency, step, lot_id, came_at, priority, expires_at, is_prepaid,
    (held + change)::decimal(38, 12) as held, change
from (
    select
        customer_id, currency, step, lot_id, came_at, priority, expires_at, is_prepaid, held,
        (case
            when moves = 'in' and is_new then amount - least(amount, owed)
            when moves = 'in' and lot_id is null then least(amount, owed)
            when moves = 'in' then 0
            when moves = 'expire' then case when lot_id = event_lot_id then -held else 0 end
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
            -min(case when lot_id is null then held end) over wallet as owed,
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
                    lots.customer_id, lots.currency, events.step,
                    events.moves, events.amount, events.prepaid_limit, events.lot_id as event_lot_id,
                    copies.is_new,
                    case when copies.is_new then events.lot_id else lots.lot_id end as lot_id,
                    case when copies.is_new then events.came_at else lots.came_at end as came_at,
                    case when copies.is_new then events.priority else lots.priority end as priority,
                    case when copies.is_new then events.expires_at else lots.expires_at end as expires_at,
                    case when copies.is_new then events.is_prepaid else lots.is_prepaid end as is_prepaid,
                    case when copies.is_new then 0 else lots.held end as held,
                    -- a row takes from the lot that it names, an invoice from what is valid at its
                    -- month's end; only what these do not hold comes from the others
                    coalesce(
                        lots.lot_id = events.lot_id,
                        lots.came_at < events.valid_at
                        and coalesce(lots.expires_at >= events.valid_at, true),
                        false
                    ) as is_preferred
                from lots
                inner join {{ events }} as events
                    on
                        lots.customer_id = events.customer_id
                        and lots.currency = events.currency
                        and lots.step + 1 = events.step
                -- what comes in begins a row beside the one that every wallet has
                cross join (values (false), (true)) as copies (is_new)
                where not copies.is_new or (events.moves = 'in' and lots.lot_id is null)
            ) as placed
            window {{ earlier_lots() }}
        ) as paying
        window wallet as (partition by customer_id, currency), {{ earlier_lots() }}
    )
)
where lot_id is null or held <> 0 or change <> 0
{%- endmacro %}
