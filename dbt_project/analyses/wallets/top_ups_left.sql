-- What is left of each top-up, and when does it expire?
-- Sample: prepaid-wallet
-- By hand: `amount` less what was used, refunded and expired.
SELECT customer_id, lot_id, kind, amount, used, refunded, expired, remaining, expires_at
FROM wallet_lots
WHERE billing_month = (SELECT max(billing_month) FROM wallet_lots)
ORDER BY customer_id, lot_id;
