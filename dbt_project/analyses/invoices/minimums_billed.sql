-- Which subscriptions were billed their minimum, and how much of it was not used?
-- By hand: the minimum in accounts/subscriptions.csv less the charges of the subscription.
SELECT billing_month, customer_id, subscription_id, amount, calculation
FROM invoice_lines
WHERE kind = 'minimum'
ORDER BY billing_month, customer_id;
