-- Charge that differs between two versions of an invoice as billed, one after the other.
-- billing_month: First day of the billing month.
-- invoice_id: Our invoice; table invoices.
-- customer_id: Whose it is; accounts/customers.csv.
-- currency: ISO 4217 code of all amounts of the row.
-- version_before: The earlier version; table charges_as_billed.
-- version_after: The later version.
-- charge_id: The charge, in both versions or in one.
-- subscription_id: Subscription that it is charged for.
-- price_id: Rule that priced it; catalog/prices.csv.
-- quantity_before: Measured quantity in the earlier version; empty where it had no such charge.
-- quantity_after: Measured quantity in the later version; empty where it has no such charge.
-- amount_before: What it was, major units; 0 where there was no such charge.
-- amount_after: What it is, major units; 0 where there is no such charge.
-- change: amount_after - amount_before.
-- cause: late usage, usage removed, usage changed, correction, price change (also of a meter), account change, or other.
WITH versions AS (
    SELECT DISTINCT billing_month, invoice_id, customer_id, currency, version
    FROM charges_as_billed
),

pairs AS (
    SELECT
        billing_month,
        invoice_id,
        customer_id,
        currency,
        version AS version_after,
        lag(version) OVER (PARTITION BY invoice_id ORDER BY version) AS version_before
    FROM versions
),

keys AS (
    SELECT DISTINCT pairs.*, charges.charge_id, charges.subscription_id, charges.price_id
    FROM pairs
    INNER JOIN charges_as_billed AS charges
        ON pairs.invoice_id = charges.invoice_id
        AND charges.version IN (pairs.version_before, pairs.version_after)
    WHERE pairs.version_before IS NOT NULL
),

accounts AS (
    SELECT DISTINCT invoice_id, version, subscription_id, subscription_terms
    FROM charges_as_billed
),

compared AS (
    SELECT
        keys.*,
        earlier.charge_id IS NOT NULL AS was_there,
        later.charge_id IS NOT NULL AS is_there,
        earlier.quantity AS quantity_before,
        later.quantity AS quantity_after,
        coalesce(earlier.amount, 0)::DECIMAL(38, 4) AS amount_before,
        coalesce(later.amount, 0)::DECIMAL(38, 4) AS amount_after,
        earlier.exact_amount IS DISTINCT FROM later.exact_amount AS is_other_amount,
        later.event_count - earlier.event_count AS more_events,
        later.correction_count <> earlier.correction_count AS is_corrected,
        later.price_terms <> earlier.price_terms AS is_other_price,
        account_before.subscription_terms IS DISTINCT FROM account_after.subscription_terms
            AS is_other_account,
        later.meter_id IS NOT NULL AS is_usage
    FROM keys
    LEFT JOIN charges_as_billed AS earlier
        ON keys.invoice_id = earlier.invoice_id
        AND keys.version_before = earlier.version
        AND keys.charge_id = earlier.charge_id
    LEFT JOIN charges_as_billed AS later
        ON keys.invoice_id = later.invoice_id
        AND keys.version_after = later.version
        AND keys.charge_id = later.charge_id
    LEFT JOIN accounts AS account_before
        ON keys.invoice_id = account_before.invoice_id
        AND keys.version_before = account_before.version
        AND keys.subscription_id = account_before.subscription_id
    LEFT JOIN accounts AS account_after
        ON keys.invoice_id = account_after.invoice_id
        AND keys.version_after = account_after.version
        AND keys.subscription_id = account_after.subscription_id
)

SELECT
    billing_month,
    invoice_id,
    customer_id,
    currency,
    version_before,
    version_after,
    charge_id,
    subscription_id,
    price_id,
    quantity_before,
    quantity_after,
    amount_before,
    amount_after,
    (amount_after - amount_before)::DECIMAL(38, 4) AS change,
    coalesce(nullif(concat_ws(
        ', ',
        CASE
            WHEN more_events > 0 THEN 'late usage'
            WHEN more_events < 0 THEN 'usage removed'
            -- as many events and another value: one was replaced, or a gauge was carried on
            WHEN
                is_usage AND quantity_before <> quantity_after
                AND NOT (is_corrected OR is_other_price OR is_other_account)
                THEN 'usage changed'
        END,
        CASE WHEN is_corrected THEN 'correction' END,
        CASE
            WHEN is_other_price OR (was_there <> is_there AND NOT is_other_account)
                THEN 'price change'
        END,
        CASE WHEN is_other_account THEN 'account change' END
    ), ''), 'other') AS cause
FROM compared
WHERE was_there <> is_there OR is_other_amount OR quantity_before IS DISTINCT FROM quantity_after
