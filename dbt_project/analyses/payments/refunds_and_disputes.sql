-- What was paid back, refunded or disputed?
-- By hand: none in the sample. Stripe's dashboard, refunds and disputes.
SELECT billing_month, kind, paid_at, invoice_id, amount, currency, status
FROM payments
WHERE kind <> 'payment'
ORDER BY paid_at, invoice_id;
