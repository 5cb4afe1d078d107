-- Who has used up what their plan allows?
-- By hand: the customer's events of the feature's meter, beside catalog/entitlements.csv.
SELECT billing_month, customer_id, feature, used, limit_quantity, state
FROM entitlement_usage
WHERE state = 'exceeded'
ORDER BY billing_month, customer_id, feature;
