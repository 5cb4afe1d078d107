-- What did one unit cost on average?
-- By hand: the amounts charged by the price, divided by the quantities used, what is included too.
SELECT billing_month, price_id, currency, customers, quantity, amount, amount_per_unit
FROM unit_prices
WHERE amount > 0
ORDER BY billing_month, price_id, currency;
