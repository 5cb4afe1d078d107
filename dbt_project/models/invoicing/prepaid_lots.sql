-- grain: commitment that is paid beforehand and has a payer: what it puts into the payer's wallet

-- Whose wallet that is does not change during the term: it is the payer on whose invoice the amount
-- stands, that of the month in which the term starts.
with
customers as (select * from {{ source('raw', 'customers') }}),

terms as (
    select commitments.*, months.month_end
    from {{ ref('stg_accounts__commitments') }} as commitments
    inner join {{ ref('stg_months') }} as months
        on commitments.starts_at >= months.month_start and commitments.starts_at < months.month_end
    where commitments.kind = 'prepaid'
),

owners as (
    select
        terms.*, customers.is_payer, coalesce(customers.bill_to, terms.customer_id) as payer_id,
        {{ validity_rank('terms.commitment_id', 'customers.valid_from', 'terms.month_end') }}
            as valid_first
    from terms
    inner join customers on terms.customer_id = customers.customer_id
),

payers as (
    select
        owners.* exclude (is_payer), customers.is_payer,
        {{ validity_rank('owners.commitment_id', 'customers.valid_from', 'owners.month_end') }}
            as payer_valid_first
    from owners
    inner join customers on owners.payer_id = customers.customer_id
    where owners.valid_first = 1 and owners.is_payer
)

select
    payer_id as customer_id,
    currency,
    'billing_commitment:' || commitment_id as lot_id,
    commitment_id,
    amount::decimal(38, 12) as amount,
    starts_at as came_at,
    ends_at as expires_at
from payers
where payer_valid_first = 1 and is_payer
