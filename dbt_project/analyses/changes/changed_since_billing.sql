-- Which lines of an invoice changed after it was billed, and why?
-- By hand: none in the sample. `lines_as_billed` has the line in both versions; a line of an invoice whose kind is not `charge` follows the charges, unless its own coupon, tax rate or account row changed.
SELECT billing_month, invoice_id, kind, description, amount_before, amount_after, cause
FROM line_changes
ORDER BY billing_month, invoice_id, version_after, line_id;
