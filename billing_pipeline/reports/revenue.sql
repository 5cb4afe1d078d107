-- Month × customer × price: what was charged, before discounts and tax.
-- billing_month: First day of the billing month.
-- customer_id: Whose it is; accounts/customers.csv.
-- plan_id: Plan of the subscription; catalog/plans.csv.
-- price_id: Rule that priced it; catalog/prices.csv.
-- meter_id: Meter that measured it; empty for a recurring fee.
-- currency: ISO 4217 code of all amounts of the row.
-- quantity: Measured quantity.
-- amount: Sum of the charges, major units.
SELECT
    billing_month,
    customer_id,
    plan_id,
    price_id,
    meter_id,
    currency,
    sum(quantity)::DECIMAL(38, 18) AS quantity,
    sum(amount)::DECIMAL(38, 4) AS amount
FROM charges
GROUP BY ALL
