-- Which charges would differ from what was billed, and why?
-- By hand: none in the sample. `billing verify MONTH` recomputes; the two versions are in `charges_as_billed` and `charges`.
SELECT billing_month, invoice_id, price_id, quantity_before, quantity_after, change, cause
FROM charge_changes
ORDER BY billing_month, invoice_id, price_id;
