-- Which events were charged twice, or could not be read by a meter?
-- By hand: none in the sample. Open `source_file` at `source_row`.
SELECT billing_month, meter_id, customer_id, reason, count(*) AS events, min(source_file) AS file
FROM usage_issues
GROUP BY ALL
ORDER BY ALL;
