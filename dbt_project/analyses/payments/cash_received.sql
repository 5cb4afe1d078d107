-- How much was paid, by which method, and what did Stripe take of it?
-- By hand: Stripe's dashboard, payments of the month's invoices; `payments.paid_at` has each moment.
SELECT billing_month, method, currency, count(*) AS payments, sum(amount) AS amount,
    sum(fee) AS fees, sum(amount) - sum(fee) AS net
FROM payments
WHERE kind = 'payment'
GROUP BY ALL
ORDER BY ALL;
