{{ config(materialized='view') }}
-- grain: account of the journal × detail that catalog/accounts.csv numbers
select
    run.billing_month,
    book_accounts.account,
    book_accounts.detail,
    book_accounts.number,
    book_accounts.name,
    book_accounts.xero_tax_rate
from {{ source('raw', 'book_accounts') }} as book_accounts
cross join {{ ref('stg_run') }} as run
