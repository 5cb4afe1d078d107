-- How were the charges of the largest invoice computed?
-- By hand: repeat `calculation` on a pocket calculator; `exact_amount` has 12 places, `amount` is rounded once. `billing explain` shows the same with the events.
SELECT price_id, quantity, billable_quantity, exact_amount, amount, calculation
FROM charges
WHERE charge_id IN (
    SELECT charge_id FROM invoice_lines
    WHERE invoice_id = (SELECT invoice_id FROM invoices ORDER BY total DESC, invoice_id LIMIT 1)
)
ORDER BY price_id;
