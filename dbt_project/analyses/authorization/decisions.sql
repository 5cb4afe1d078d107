-- Who approved or declined what, when and why?
-- By hand: none in the sample: first invoices need no approval. `records/` has each decision, and Dagster's history the run.
SELECT billing_month, decided_at, decided_by, decision, customers, reason, plan_hash
FROM approvals
ORDER BY decided_at, plan_hash;
