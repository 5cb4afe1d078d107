-- Which accepted usage does nothing charge, and why?
-- By hand: none in the sample. Take one customer's events of that name: their subscription has no price for the meter (`no_price`), no filter that matches, none at that time, or there is no subscription.
SELECT billing_month, customer_id, event_name, reason, event_count
FROM unpriced_usage
ORDER BY billing_month, customer_id, event_name, reason;
