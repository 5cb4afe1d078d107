-- What was owed at some instant? (Here now; put another instant in the place of now().)
-- By hand: what was due of the invoices issued until then (after wallets), less credit notes and payments until then; below 0, we owe it. Now it is the open invoices.
WITH moved AS (
    SELECT billing_month, currency, issued_at AS moved_at, coalesce(amount_due, amount) AS amount
    FROM documents WHERE status IS DISTINCT FROM 'void'
    UNION ALL
    SELECT billing_month, currency, paid_at, -amount FROM payments
)
SELECT billing_month, currency, sum(amount) AS owed
FROM moved WHERE moved_at <= now() GROUP BY ALL ORDER BY ALL;
