-- Month × currency: what was billed and what came in.
-- billing_month: First day of the billing month.
-- currency: ISO 4217 code of all amounts of the row.
-- invoices: Invoices of the month as computed.
-- total: Sum of their totals, major units.
-- billed: Finalized in Stripe, major units.
-- paid: Paid, major units.
-- credited: Credit notes, major units.
-- outstanding: Still to be paid, major units.
WITH computed AS (
    SELECT billing_month, currency, count(*) AS invoices, sum(total) AS total
    FROM invoices
    GROUP BY ALL
),

collected AS (
    SELECT
        billing_month,
        currency,
        sum(billed) AS billed,
        sum(paid) AS paid,
        sum(credited) AS credited,
        sum(outstanding) AS outstanding
    FROM invoice_payments
    GROUP BY ALL
)

SELECT
    billing_month,
    currency,
    coalesce(computed.invoices, 0) AS invoices,
    coalesce(computed.total, 0)::DECIMAL(38, 4) AS total,
    coalesce(collected.billed, 0)::DECIMAL(38, 4) AS billed,
    coalesce(collected.paid, 0)::DECIMAL(38, 4) AS paid,
    coalesce(collected.credited, 0)::DECIMAL(38, 4) AS credited,
    coalesce(collected.outstanding, 0)::DECIMAL(38, 4) AS outstanding
FROM computed
FULL OUTER JOIN collected USING (billing_month, currency)
