-- What is on the largest invoice, and how was each line computed?
-- By hand: repeat `calculation`; a line of kind `charge` is computed in `charges_of_the_largest_invoice`.
SELECT position, kind, description, amount, calculation
FROM invoice_lines
WHERE invoice_id = (SELECT invoice_id FROM invoices ORDER BY total DESC, invoice_id LIMIT 1)
ORDER BY position;
