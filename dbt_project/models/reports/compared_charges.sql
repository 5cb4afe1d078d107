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
        earlier.charge_id is not null as was_there,
        later.charge_id is not null as is_there,
        earlier.quantity as quantity_before,
        later.quantity as quantity_after,
        coalesce(earlier.amount, 0)::decimal(38, 4) as amount_before,
        coalesce(later.amount, 0)::decimal(38, 4) as amount_after,
        (earlier.exact_amount is distinct from later.exact_amount) as is_other_amount,
        later.event_count - earlier.event_count as more_events,
        later.correction_count <> earlier.correction_count as is_corrected,
        later.price_terms <> earlier.price_terms as is_other_price,
        (account_before.subscription_terms is distinct from account_after.subscription_terms)
            as is_other_account,
        later.meter_id is not null as is_usage
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
