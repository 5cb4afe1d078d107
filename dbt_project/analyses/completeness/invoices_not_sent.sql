-- Is there an invoice that Stripe does not hold?
-- By hand: none. Count the invoices of the month in Stripe's dashboard, void ones aside, and compare with `months.invoices`.
SELECT invoices.billing_month, invoices.invoice_id, invoices.customer_id, invoices.total
FROM invoices
LEFT JOIN stripe_invoices AS sent
    ON invoices.invoice_id = sent.invoice_id AND sent.status <> 'void'
WHERE invoices.total > 0 AND sent.invoice_id IS NULL
ORDER BY invoices.invoice_id;
