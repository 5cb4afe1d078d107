-- Do wallets hold in Stripe what they hold here?
-- Sample: prepaid-wallet
-- By hand: none that differ. A customer's balance in Stripe's dashboard (a credit is below 0 there).
SELECT billing_month, customer_id, currency, wallet_balance, stripe_balance, difference
FROM wallet_reconciliation
WHERE difference <> 0
ORDER BY billing_month, customer_id;
