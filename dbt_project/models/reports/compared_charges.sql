with
billed as (
    select * from {{ all_months(source('as_billed', 'charges_as_billed')) }}
),

versions as (
    select distinct billing_month, invoice_id, currency, version
    from billed
),

pairs as (
    select
        billing_month,
        invoice_id,
        currency,
        version as version_after,
        lag(version) over (partition by invoice_id order by version) as version_before
    from versions
),

keys as (
    select distinct pairs.*, charges.customer_id, charges.charge_id, charges.subscription_id, charges.price_id
    from pairs
    inner join billed as charges
        on pairs.invoice_id = charges.invoice_id
        and charges.version in (pairs.version_before, pairs.version_after)
    where pairs.version_before is not null
),

accounts as (
    select distinct invoice_id, version, subscription_id, subscription_terms
    from billed
),

compared as (
    select
        keys.*,
        {{ charge_differences() }},
        (account_before.subscription_terms is distinct from account_after.subscription_terms)
            as is_other_account
    from keys
    left join billed as earlier
        on keys.invoice_id = earlier.invoice_id
        and keys.version_before = earlier.version
        and keys.charge_id = earlier.charge_id
    left join billed as later
        on keys.invoice_id = later.invoice_id
        and keys.version_after = later.version
        and keys.charge_id = later.charge_id
    left join accounts as account_before
        on keys.invoice_id = account_before.invoice_id
        and keys.version_before = account_before.version
        and keys.subscription_id = account_before.subscription_id
    left join accounts as account_after
        on keys.invoice_id = account_after.invoice_id
        and keys.version_after = account_after.version
        and keys.subscription_id = account_after.subscription_id
)

select * from compared
