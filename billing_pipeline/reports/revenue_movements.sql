-- Month × customer × currency: how monthly recurring revenue moved against the published month before.
-- billing_month: First day of the billing month.
-- customer_id: Whose it is; accounts/customers.csv.
-- currency: ISO 4217 code of all amounts of the row.
-- amount_before: Recurring revenue at the end of the month before, major units.
-- amount_after: Recurring revenue at the end of this month, major units.
-- change: amount_after - amount_before.
-- movement: new, reactivation, expansion, contraction, churn or unchanged; opening in the first month.
WITH amounts AS (
    SELECT billing_month, customer_id, currency, sum(amount)::DECIMAL(38, 4) AS amount
    FROM recurring_revenue
    GROUP BY ALL
),

months AS (
    SELECT
        billing_month,
        lag(billing_month) OVER (ORDER BY billing_month) AS month_before
    FROM (SELECT DISTINCT billing_month FROM recurring_revenue)
),

payers AS (
    SELECT customer_id, currency, min(billing_month) AS first_month
    FROM amounts
    WHERE amount > 0
    GROUP BY ALL
),

compared AS (
    SELECT
        months.billing_month,
        months.month_before,
        payers.customer_id,
        payers.currency,
        payers.first_month,
        coalesce(earlier.amount, 0) AS amount_before,
        coalesce(later.amount, 0) AS amount_after
    FROM months
    CROSS JOIN payers
    LEFT JOIN amounts AS later
        ON later.billing_month = months.billing_month
        AND later.customer_id = payers.customer_id
        AND later.currency = payers.currency
    LEFT JOIN amounts AS earlier
        ON earlier.billing_month = months.month_before
        AND earlier.customer_id = payers.customer_id
        AND earlier.currency = payers.currency
)

SELECT
    billing_month,
    customer_id,
    currency,
    amount_before::DECIMAL(38, 4) AS amount_before,
    amount_after::DECIMAL(38, 4) AS amount_after,
    (amount_after - amount_before)::DECIMAL(38, 4) AS change,
    CASE
        WHEN month_before IS NULL THEN 'opening'
        WHEN amount_before = 0 AND billing_month = first_month THEN 'new'
        WHEN amount_before = 0 THEN 'reactivation'
        WHEN amount_after = 0 THEN 'churn'
        WHEN amount_after > amount_before THEN 'expansion'
        WHEN amount_after < amount_before THEN 'contraction'
        ELSE 'unchanged'
    END AS movement
FROM compared
WHERE amount_before > 0 OR amount_after > 0
