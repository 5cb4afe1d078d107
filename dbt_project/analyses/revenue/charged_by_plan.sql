-- What was charged, by plan?
-- By hand: the charges of the plan's customers, before discounts and tax.
SELECT billing_month, plan_id, currency, sum(amount) AS charged,
    count(DISTINCT customer_id) AS customers
FROM revenue
GROUP BY ALL
ORDER BY billing_month, charged DESC, plan_id;
