with
known as (select * from {{ all_months(ref('charges_known')) }}),

-- what was known first of a month is no change
months as (
    select billing_month, min(known_from) as first_known_at
    from known
    group by billing_month
),

keys as (
    select billing_month, charge_id, known_from as changed_at from known
    union
    select billing_month, charge_id, known_to as changed_at from known where known_to is not null
),

compared as (
    select
        keys.billing_month,
        keys.charge_id,
        keys.changed_at,
        coalesce(later.customer_id, earlier.customer_id) as customer_id,
        coalesce(later.subscription_id, earlier.subscription_id) as subscription_id,
        coalesce(later.price_id, earlier.price_id) as price_id,
        coalesce(later.currency, earlier.currency) as currency,
        {{ charge_differences() }}
    from keys
    inner join months
        on keys.billing_month = months.billing_month and keys.changed_at > months.first_known_at
    left join known as earlier
        on keys.billing_month = earlier.billing_month and keys.charge_id = earlier.charge_id
        and keys.changed_at = earlier.known_to
    left join known as later
        on keys.billing_month = later.billing_month and keys.charge_id = later.charge_id
        and keys.changed_at = later.known_from
)

select * from compared
