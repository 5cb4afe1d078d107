with
known as (select * from {{ all_months(ref('charges_known')) }}),

compared as (select * from {{ ref('compared_known_charges') }}),

-- of a charge that is new or gone, other charges of its subscription say whether that is another
accounts as (
    select
        compared.billing_month, compared.subscription_id, compared.changed_at,
        min(known.subscription_terms) filter (where known.known_from < compared.changed_at)
            as terms_before,
        min(known.subscription_terms) filter (
            where known.known_from <= compared.changed_at
            and coalesce(known.known_to > compared.changed_at, true)
        ) as terms_after
    from compared
    inner join known
        on compared.billing_month = known.billing_month
        and compared.subscription_id = known.subscription_id
        and known.known_from <= compared.changed_at
        and coalesce(known.known_to >= compared.changed_at, true)
    group by all
),

judged as (
    select
        compared.*,
        (accounts.terms_before is distinct from accounts.terms_after) as is_other_account
    from compared
    left join accounts
        on compared.billing_month = accounts.billing_month
        and compared.subscription_id = accounts.subscription_id
        and compared.changed_at = accounts.changed_at
)

select
    billing_month,
    changed_at,
    charge_id,
    customer_id,
    subscription_id,
    price_id,
    currency,
    quantity_before,
    quantity_after,
    amount_before,
    amount_after,
    (amount_after - amount_before)::decimal(38, 4) as change,
    {{ change_causes() }} as cause
from judged
where was_there <> is_there or is_other_amount or quantity_before is distinct from quantity_after
