-- How did recurring revenue change: new, more, less, lost?
-- By hand: the same customers in `recurring_revenue` of this month and of the one before. The first published month is `opening`.
SELECT billing_month, movement, currency, count(*) AS customers, sum(change) AS change
FROM revenue_movements
GROUP BY ALL
ORDER BY ALL;
