-- Which tax rates were in force, month by month?
-- By hand: catalog/tax_rates.csv; a rate that changed has two rows, with `valid_to` and `valid_from`.
SELECT billing_month, tax_rate_id, country, region, percentage, inclusive, valid_from, valid_to
FROM tax_rates
ORDER BY billing_month, tax_rate_id, valid_from;
