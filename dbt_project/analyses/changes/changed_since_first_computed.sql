-- Which invoices have changed their total since the month was first computed?
-- By hand: none in the sample. `invoices_known` has each total with the time for which it was known.
WITH first AS (
    SELECT * FROM invoices_known
    QUALIFY known_from = min(known_from) OVER (PARTITION BY billing_month)
)
SELECT invoice_id, first.total AS total_then, now.total AS total_now
FROM first
FULL JOIN invoices AS now USING (billing_month, invoice_id)
WHERE first.total IS DISTINCT FROM now.total
ORDER BY invoice_id;
