-- Do the tiers of every tiered charge add up to what was charged?
-- By hand: none that do not. Fill the tiers of catalog/price_tiers.csv one after the other with the billable quantity.
SELECT charges.charge_id, charges.billable_quantity, sum(tiers.quantity) AS quantity_of_tiers
FROM charges
INNER JOIN charge_tiers AS tiers USING (charge_id)
GROUP BY ALL
HAVING sum(tiers.quantity) <> charges.billable_quantity
ORDER BY charges.charge_id;
