-- How much revenue recurs each month (MRR), by plan?
-- By hand: the fees of the subscriptions that are active in the month's last instant, for a whole month, before discounts and tax. Usage, seats billed by a gauge, and minimums are not in it.
SELECT billing_month, plan_id, currency, count(*) AS subscriptions, sum(amount) AS recurring
FROM recurring_revenue
GROUP BY ALL
ORDER BY ALL;
