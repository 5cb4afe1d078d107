-- What did each coupon cost?
-- By hand: the lines of the subscription before the discount × `percent_off`: 20 % of 99.00 is 19.80.
SELECT billing_month, coupon_id, currency, count(*) AS lines, sum(amount) AS discount
FROM invoice_lines
WHERE kind = 'discount'
GROUP BY ALL
ORDER BY ALL;
