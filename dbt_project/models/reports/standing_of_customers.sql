-- computed when it is read, so it turns from good to past_due and suspended by the clock
with
known as (
    select
        customer_id,
        max(billing_month) as billing_month,
        coalesce(max_by(payer_id, billing_month), customer_id) as payer_id
    from {{ all_months(ref('customers')) }}
    group by customer_id
),

debts as (
    select
        *,
        case
            when suspended_at <= current_timestamp then 'suspended'
            when late_since <= current_timestamp then 'past_due'
            else 'good'
        end as state
    from {{ ref('customer_debts') }}
)

select
    known.billing_month,
    known.customer_id,
    coalesce(debts.state, 'good') as state,
    case debts.state
        when 'suspended' then debts.suspended_at
        when 'past_due' then debts.late_since
    end as since,
    debts.oldest_unpaid_due,
    coalesce(debts.outstanding, 0)::decimal(38, 4) as outstanding,
    debts.currency,
    nullif(concat_ws(
        '; ',
        case
            when debts.state = 'suspended' and debts.given_up is not null
                then 'given up: ' || debts.given_up
            when debts.state = 'suspended'
                then 'unpaid ' || debts.suspend_days || ' days after the due date: ' || debts.late
            when debts.state = 'past_due' then 'unpaid after the due date: ' || debts.late
        end,
        case
            when debts.payer_id <> known.customer_id
                then debts.payer_id || ' pays for this customer'
        end,
        'also owed: ' || debts.other_currencies
    ), '') as reason
from known
left join debts on known.payer_id = debts.payer_id
