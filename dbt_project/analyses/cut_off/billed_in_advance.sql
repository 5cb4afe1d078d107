-- What was billed in advance, for service after the month's end (deferred revenue)?
-- By hand: none in the sample. A price whose `timing` is `advance`: its fee of the next period is on this month's invoice.
SELECT charges.billing_month, charges.currency, sum(charges.amount) AS amount
FROM charges
INNER JOIN seller USING (billing_month)
WHERE charges.period_start >= seller.month_end
GROUP BY ALL
HAVING sum(charges.amount) <> 0
ORDER BY charges.billing_month, charges.currency;
