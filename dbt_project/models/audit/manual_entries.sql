-- grain: usage correction or adjustment that a person wrote for the month
with
entries as (
    select
        'usage_correction' as kind,
        correction_id as entry_id,
        customer_id,
        event_name,
        occurred_at,
        quantity::decimal(38, 18) as quantity,
        null::decimal(38, 12) as amount,
        null as currency,
        reason,
        author
    from {{ ref('stg_accounts__usage_corrections') }}
    union all
    select
        'adjustment' as kind,
        adjustment_id as entry_id,
        customer_id,
        null as event_name,
        occurred_at,
        null as quantity,
        amount::decimal(38, 12) as amount,
        currency,
        reason,
        author
    from {{ ref('stg_accounts__adjustments') }}
)

select
    run.billing_month,
    entries.kind,
    entries.entry_id,
    entries.customer_id,
    entries.event_name,
    entries.occurred_at,
    entries.quantity,
    entries.amount,
    entries.currency,
    entries.reason,
    entries.author
from entries
cross join {{ ref('stg_run') }} as run
where entries.occurred_at >= run.month_start and entries.occurred_at < run.month_end
