-- How much is won or lost by rounding?
-- By hand: no line may differ from its exact amount by more than half of the smallest unit, so the difference is at most half a cent for each charge.
SELECT billing_month, currency, count(*) AS charges, sum(exact_amount) AS exact_amount,
    sum(amount) AS amount, sum(amount) - sum(exact_amount) AS rounding
FROM charges
GROUP BY ALL
ORDER BY billing_month, currency;
