-- What waits for somebody's approval?
-- By hand: none in the sample. `billing status` names the same plans.
SELECT billing_month, plan_hash, action, customer_id, amount_before, amount_after, cause
FROM invoice_plan
WHERE state = 'waiting'
ORDER BY billing_month, customer_id, action;
