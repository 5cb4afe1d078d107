with
used as (
    select
        billing_month,
        price_id,
        plan_id,
        meter_id,
        currency,
        count(distinct customer_id) filter (where quantity > 0) as customers,
        sum(quantity)::decimal(38, 18) as quantity,
        sum(amount)::decimal(38, 4) as amount
    from {{ all_months(ref('charges')) }}
    where meter_id is not null
    group by all
),

-- whole numbers of 10^-6 units and 10^-4 of money: `/` would be a float
counted as (
    select *, round(quantity * 1000000)::hugeint as millionths, (amount * 10000)::hugeint as parts
    from used
)

select
    billing_month,
    price_id,
    plan_id,
    meter_id,
    currency,
    customers,
    quantity,
    amount,
    case
        when millionths > 0
            then ((parts * 100000000000000 // millionths)::decimal(38, 0)
                * 0.000000000001::decimal(12, 12))::decimal(38, 12)
    end as amount_per_unit
from counted
