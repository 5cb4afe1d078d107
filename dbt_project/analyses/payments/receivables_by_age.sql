-- Who owes how much, and since when?
-- Answer: changes from day to day
-- By hand: the open invoices in Stripe's dashboard, by their due date.
SELECT age, currency, count(*) AS invoices, sum(outstanding) AS outstanding
FROM receivables
GROUP BY ALL
ORDER BY ALL;
