-- Our invoice that is not paid in full, and how long it has been due.
-- billing_month: First day of the billing month.
-- invoice_id: Our invoice; table invoices.
-- customer_id: Whose it is; accounts/customers.csv.
-- currency: ISO 4217 code of all amounts of the row.
-- status: open, overdue or uncollectible.
-- outstanding: Still to be paid, major units.
-- due_date: When it was due.
-- days_overdue: Whole days since then; 0 where it is not due yet.
-- age: not due, 1-30, 31-60, 61-90 or over 90 days.
WITH unpaid AS (
    SELECT
        payments.billing_month,
        payments.invoice_id,
        payments.customer_id,
        payments.currency,
        payments.status,
        payments.outstanding,
        invoices.due_date,
        greatest(current_date - invoices.due_date, 0) AS days_overdue
    FROM invoice_payments AS payments
    LEFT JOIN invoices
        ON payments.invoice_id = invoices.invoice_id
        AND payments.billing_month = invoices.billing_month
    WHERE payments.outstanding > 0
)

SELECT
    *,
    CASE
        WHEN days_overdue = 0 THEN 'not due'
        WHEN days_overdue <= 30 THEN '1-30'
        WHEN days_overdue <= 60 THEN '31-60'
        WHEN days_overdue <= 90 THEN '61-90'
        ELSE 'over 90'
    END AS age
FROM unpaid
