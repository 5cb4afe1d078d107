-- How much prepaid credit did we owe at some instant? (Here now; put another instant in the place of now().)
-- Sample: prepaid-wallet
-- By hand: the last `balance_after` of each wallet until then; one that is below 0 lowers the sum. What a month's invoices take, they take in the first instant of the next month.
SELECT currency, count(*) AS customers, sum(balance) AS liability
FROM (
    SELECT customer_id, currency, arg_max(balance_after, movement_number) AS balance
    FROM wallet_ledger
    WHERE occurred_at <= now()
    GROUP BY ALL
)
GROUP BY ALL
ORDER BY ALL;
