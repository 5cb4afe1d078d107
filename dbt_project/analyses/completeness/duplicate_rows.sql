-- How many rows came twice, and count once?
-- Sample: restoration
-- By hand: find the `event_id` of a row of this file in the other files of the month (`grep`): the rows are equal.
SELECT billing_month, source_file, rows_read, duplicate_rows
FROM usage_files
WHERE duplicate_rows > 0
ORDER BY billing_month, source_file;
