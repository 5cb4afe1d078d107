-- Do the lines of every invoice add up to its total?
-- By hand: none that do not. Add the lines of one invoice with a pocket calculator; a tax that prices include (`is_inclusive`) adds nothing.
SELECT invoices.invoice_id, invoices.total, sum(lines.amount) AS lines_amount
FROM invoices
INNER JOIN invoice_lines AS lines USING (invoice_id)
WHERE NOT lines.is_inclusive
GROUP BY ALL
HAVING sum(lines.amount) <> invoices.total
ORDER BY invoices.invoice_id;
