-- Is any row of a usage file neither accepted nor rejected nor a duplicate?
-- By hand: none. Take a file and count: `rows_read` is its rows, and the three other numbers add up to it.
SELECT billing_month, source_file, rows_read, accepted_rows, rejected_rows, duplicate_rows
FROM usage_files
WHERE rows_read <> accepted_rows + rejected_rows + duplicate_rows
ORDER BY billing_month, source_file;
