-- How many invoices, supplements and credit notes were issued, and of how much?
-- By hand: count them in Stripe's dashboard; their sum less what is credited is what the month billed.
SELECT billing_month, kind, currency, count(*) AS documents, sum(amount) AS amount
FROM documents
GROUP BY ALL
ORDER BY ALL;
