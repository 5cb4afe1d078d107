-- Which credit notes were issued, of what and why?
-- By hand: none in the sample. Each has its number in Stripe, and its plan in `approvals`.
SELECT billing_month, number, invoice_id, issued_at, amount, tax, currency, reason
FROM credit_notes
ORDER BY issued_at, number;
