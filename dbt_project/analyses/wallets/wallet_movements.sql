-- What went into wallets and out of them?
-- Sample: prepaid-wallet
-- By hand: accounts/wallet_transactions.csv, and `wallet_applied` of the invoices (kind `invoice`).
SELECT billing_month, kind, currency, count(*) AS movements, sum(amount) AS amount
FROM wallet_ledger
GROUP BY ALL
ORDER BY ALL;
