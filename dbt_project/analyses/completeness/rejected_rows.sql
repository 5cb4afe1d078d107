-- Which rows were rejected, and why?
-- By hand: open the file at `first_row` (the header is row 1) and read what is wrong there. Each row is in `usage_rejections`, with its text.
SELECT billing_month, source_file, reason, rows, first_row
FROM rejected_usage
ORDER BY billing_month, source_file, reason;
