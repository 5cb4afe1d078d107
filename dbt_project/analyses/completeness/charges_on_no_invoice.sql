-- Is there a charge that no invoice bills?
-- By hand: none. Charges of customers who are not payers are left out (`customers.is_payer`); take one charge and look for its `charge_id` in `invoice_lines`.
SELECT charges.billing_month, charges.charge_id, charges.amount
FROM charges
INNER JOIN customers USING (billing_month, customer_id)
LEFT JOIN invoice_lines AS lines
    ON charges.charge_id = lines.charge_id AND charges.billing_month = lines.billing_month
WHERE charges.amount <> 0 AND customers.is_payer AND lines.line_id IS NULL
ORDER BY charges.charge_id;
