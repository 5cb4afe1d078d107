-- grain: dated row of a customer: what decided on its invoices, and from when to when
select
    run.billing_month,
    versions.customer_id,
    versions.valid_from,
    lead(versions.valid_from) over (
        partition by versions.customer_id order by versions.valid_from nulls first
    ) as valid_to,
    versions.name,
    versions.country,
    versions.region,
    versions.currency,
    versions.is_payer,
    versions.tax_exempt as is_tax_exempt,
    coalesce(versions.bill_to, versions.customer_id) as payer_id
from {{ source('raw', 'customers') }} as versions
cross join {{ ref('stg_run') }} as run
