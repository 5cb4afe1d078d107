-- Which prices have changed since the month before?
-- By hand: none in the sample. `git log -p catalog/prices.csv` between the two closes; tiers are in `price_tiers`.
WITH numbered AS (
    SELECT *, dense_rank() OVER (ORDER BY billing_month DESC) AS back FROM prices
)
SELECT price_id, plan_id, charge_model, unit_amount, flat_amount FROM numbered WHERE back = 1
EXCEPT
SELECT price_id, plan_id, charge_model, unit_amount, flat_amount FROM numbered WHERE back = 2
ORDER BY price_id;
