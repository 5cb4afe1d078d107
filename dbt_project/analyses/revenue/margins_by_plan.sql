-- Which plans earn how much, after discounts and what their usage costs?
-- By hand: `revenue` is the invoices' lines before tax; the sample names no costs (catalog/costs/).
SELECT plan_id, currency, sum(revenue) AS revenue, sum(cost) AS cost, sum(margin) AS margin
FROM margins
GROUP BY ALL
ORDER BY sum(margin), plan_id, currency;
