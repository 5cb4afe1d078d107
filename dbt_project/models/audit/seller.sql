-- grain: month: its window, and who sold in it; names are null without accounts/seller.csv
select
    run.billing_month,
    run.month_start,
    run.month_end,
    run.timezone,
    seller.name,
    seller.address,
    seller.country,
    seller.tax_id,
    seller.email,
    seller.website,
    seller.bank_account,
    seller.note,
    seller.street,
    seller.city,
    seller.postal_code,
    seller.contact,
    seller.phone,
    seller.electronic_address,
    seller.datev_consultant,
    seller.datev_client
from {{ ref('stg_run') }} as run
left join {{ ref('stg_accounts__seller') }} as seller on true
