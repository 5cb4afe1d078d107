-- At which price was each line billed, as it stood then?
-- By hand: open catalog/prices.csv as it was on that day (git) at the price; `price_terms` has its whole row as JSON, with tiers and meter.
SELECT billing_month, customer_id, price_id, billable_quantity,
    (price_terms ->> '$.price.unit_amount')::DECIMAL(38, 6) AS unit_amount, amount
FROM charges_as_billed
WHERE charge_model = 'per_unit' AND amount > 0
QUALIFY version = max(version) OVER (PARTITION BY invoice_id)
ORDER BY billing_month, customer_id, price_id;
