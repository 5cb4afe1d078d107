-- Was anybody billed twice for the same month?
-- By hand: none. In Stripe's dashboard, one customer's invoices of the month; supplements have a `revision` above 1.
SELECT customer_id, currency, billing_month, count(*) AS first_invoices
FROM stripe_invoices
WHERE revision = 1 AND status <> 'void'
GROUP BY ALL
HAVING count(*) > 1
ORDER BY customer_id, billing_month;
