-- Does what Stripe holds equal what was computed, to the cent?
-- By hand: none that differ. Compare the total of one invoice in Stripe's dashboard with `invoices.total`.
SELECT invoice_id, expected_total, stripe_total, difference, state
FROM reconciliation
WHERE difference <> 0
ORDER BY invoice_id;
