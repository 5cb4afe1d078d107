with
unpaid as (select * from {{ ref('unpaid_documents') }}),

-- of the run that read Stripe last, in whichever month
rules as (
    select coalesce(max_by(suspend_days, read_at), 14) as suspend_days
    from {{ all_months(source('collection', 'stripe_reads')) }}
),

oldest as (
    select
        payer_id,
        min(due_at) as oldest_unpaid_due,
        min_by(currency, due_at) as currency,
        min(due_at) filter (where not is_under_way) as late_since,
        min(coalesce(uncollectible_at, due_at)) filter (where is_given_up) as given_up_at,
        string_agg(number, ', ' order by due_at, number) filter (where is_given_up) as given_up,
        string_agg(number, ', ' order by due_at, number)
            filter (where due_at <= current_timestamp and not is_under_way) as late
    from unpaid
    group by payer_id
),

sums as (
    select
        payer_id,
        currency,
        sum(amount_remaining) as outstanding
    from unpaid
    group by payer_id, currency
)

select
    oldest.*,
    sums.outstanding,
    rules.suspend_days,
    -- without a given-up invoice, the day on which too long a wait becomes a suspension
    least(oldest.given_up_at, oldest.late_since + to_days(rules.suspend_days::integer))
        as suspended_at,
    (
        select string_agg(others.outstanding || ' ' || others.currency, ', ' order by others.currency)
        from sums as others
        where others.payer_id = oldest.payer_id and others.currency <> oldest.currency
    ) as other_currencies
from oldest
inner join sums on oldest.payer_id = sums.payer_id and oldest.currency = sums.currency
cross join rules
