-- Which closed months would be charged differently today?
-- By hand: none in the sample. `billing drift` computes it; a preview of the month (`billing plan MONTH`) shows the lines.
SELECT billing_month, currency, billed, would_be, difference, customers, cause
FROM month_drift
ORDER BY billing_month, currency, cause;
