-- Month × price of a meter: what one unit of usage came to, all tiers and allowances included.
-- billing_month: First day of the billing month.
-- price_id: Rule that priced it; catalog/prices.csv.
-- plan_id: Plan that the price belongs to; catalog/plans.csv.
-- meter_id: Meter that measured it; catalog/meters.csv.
-- currency: ISO 4217 code of all amounts of the row.
-- customers: Customers who used it.
-- quantity: Measured quantity, included ones too.
-- amount: Sum of the charges, major units.
-- amount_per_unit: amount / quantity, cut off after 12 places; empty where nothing was used.
WITH used AS (
    SELECT
        billing_month,
        price_id,
        plan_id,
        meter_id,
        currency,
        count(DISTINCT customer_id) FILTER (WHERE quantity > 0) AS customers,
        sum(quantity)::DECIMAL(38, 18) AS quantity,
        sum(amount)::DECIMAL(38, 4) AS amount
    FROM charges
    WHERE meter_id IS NOT NULL
    GROUP BY ALL
),

-- whole numbers of 10^-6 units and 10^-4 of money: `/` would be a float
counted AS (
    SELECT *, round(quantity * 1000000)::HUGEINT AS millionths, (amount * 10000)::HUGEINT AS parts
    FROM used
)

SELECT
    billing_month,
    price_id,
    plan_id,
    meter_id,
    currency,
    customers,
    quantity,
    amount,
    CASE
        WHEN millionths > 0
            THEN ((parts * 100000000000000 // millionths)::DECIMAL(38, 0)
                * 0.000000000001::DECIMAL(12, 12))::DECIMAL(38, 12)
    END AS amount_per_unit
FROM counted
