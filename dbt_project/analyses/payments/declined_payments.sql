-- Which payments failed, how often, and why?
-- By hand: the payment attempts of the invoice in Stripe's dashboard.
SELECT billing_month, customer_id, status, outstanding, attempt_count, last_error
FROM invoice_payments
WHERE last_error IS NOT NULL
ORDER BY billing_month, customer_id;
