-- Who corrected usage or adjusted an invoice by hand, and why?
-- By hand: none in the sample. Each is a row of accounts/usage_corrections.csv or adjustments.csv, whose history is in git.
SELECT billing_month, kind, entry_id, customer_id, quantity, amount, author, reason
FROM manual_entries
ORDER BY billing_month, kind, entry_id;
