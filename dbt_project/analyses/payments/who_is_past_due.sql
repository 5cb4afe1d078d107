-- Which customers are past due or suspended?
-- By hand: the oldest unpaid invoice: after its due date they are past due, after `BILLING_SUSPEND_DAYS` suspended.
SELECT customer_id, state, outstanding, currency
FROM customer_standing
WHERE state <> 'good'
ORDER BY customer_id;
