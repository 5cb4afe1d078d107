-- How much prepaid credit did we owe at the end of each month?
-- Sample: prepaid-wallet
-- By hand: all movements before the month's last instant, and what the month's own invoices took. A top-up in the first instant of February is February's.
SELECT billing_month, currency, count(DISTINCT customer_id) AS customers,
    sum(remaining) AS liability
FROM wallet_lots
GROUP BY ALL
ORDER BY ALL;
