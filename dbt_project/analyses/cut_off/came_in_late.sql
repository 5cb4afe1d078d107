-- What came in after a month was first computed, and what did it change?
-- By hand: none in the sample. `billing verify MONTH` names the files that have changed since.
SELECT billing_month, changed_at, customer_id, price_id, change, cause
FROM charge_changes_known
ORDER BY changed_at, customer_id, price_id;
