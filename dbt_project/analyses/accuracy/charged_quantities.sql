-- From how many events does each of the largest quantities come?
-- By hand: `billing explain CHARGE` prints the query that lists the events; count them, and add their quantities.
SELECT usage.billing_month, usage.customer_id, usage.meter_id, usage.quantity,
    usage.event_count, charges.amount
FROM metered_usage AS usage
INNER JOIN charges USING (subscription_id, price_id, period_start)
WHERE usage.event_count > 0
ORDER BY charges.amount DESC, usage.quantity DESC, usage.customer_id
LIMIT 10;
