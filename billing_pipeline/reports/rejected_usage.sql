-- Month × file × reason: usage rows that were set aside.
-- billing_month: First day of the billing month.
-- source_file: File below the data directory.
-- reason: Why, as a code.
-- rows: How many.
-- first_row: The first of them, as a spreadsheet numbers it.
SELECT
    billing_month,
    source_file,
    reason,
    count(*) AS rows,
    min(source_row) AS first_row
FROM usage_rejections
GROUP BY ALL
