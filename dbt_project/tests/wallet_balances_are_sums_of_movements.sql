{{ config(meta={'dagster': {'ref': {'name': 'wallet_ledger'}}}) }}
-- within the month each movement changes the balance by its amount
with
movements as (
    select
        customer_id,
        currency,
        movement_number,
        amount,
        balance_after,
        lag(balance_after) over (
            partition by customer_id, currency order by movement_number
        ) as balance_before,
        lag(movement_number) over (
            partition by customer_id, currency order by movement_number
        ) as number_before
    from {{ ref('wallet_ledger') }}
)

select customer_id, currency, movement_number
from movements
where
    movement_number = number_before + 1 and balance_before + amount <> balance_after
    or movement_number = 1 and amount <> balance_after
