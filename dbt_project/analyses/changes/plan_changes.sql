-- Which customers changed their plan, and when?
-- By hand: accounts/subscriptions.csv: one row ends in the instant in which another begins.
SELECT before.customer_id, before.plan_id AS plan_before, after.plan_id AS plan_after,
    after.starts_at AS changed_at
FROM subscriptions AS before
INNER JOIN subscriptions AS after
    ON before.billing_month = after.billing_month AND before.customer_id = after.customer_id
    AND before.ends_at = after.starts_at
WHERE after.starts_at >= after.billing_month
ORDER BY after.starts_at;
