-- In which month was the service that each month bills?
-- Sample: platform
-- By hand: a period of 30 days that ends in February and began in January counts in January here. Compare the dates of `period_start` in `charges`.
SELECT charges.billing_month, currency, sum(amount) AS amount,
    strftime(period_start AT TIME ZONE seller.timezone, '%Y-%m') AS service_began
FROM charges
INNER JOIN seller USING (billing_month)
GROUP BY ALL
ORDER BY charges.billing_month, service_began, currency;
