-- Does a month charge service that came after it?
-- By hand: none. Compare `period_end` of a charge with the month's end; prices in advance (`timing`) are meant to.
SELECT charges.charge_id, charges.period_end, seller.month_end
FROM charges
INNER JOIN seller USING (billing_month)
INNER JOIN prices USING (billing_month, plan_id, price_id)
WHERE prices.timing IS DISTINCT FROM 'advance' AND charges.period_end > seller.month_end
ORDER BY charges.charge_id;
