-- Which active subscriptions led to no invoice?
-- By hand: each needs a reason: a plan without a fee, nothing used, or a trial. `s-free` has the plan `free`, whose prices are all 0.
SELECT subscriptions.billing_month, subscriptions.subscription_id, customers.payer_id, plan_id
FROM subscriptions
INNER JOIN customers USING (billing_month, customer_id)
LEFT JOIN invoices
    ON invoices.billing_month = customers.billing_month
    AND invoices.customer_id = customers.payer_id
WHERE subscriptions.state = 'active' AND invoices.invoice_id IS NULL
ORDER BY subscriptions.billing_month, subscriptions.subscription_id;
