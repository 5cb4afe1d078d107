-- Why does revenue differ from what was invoiced?
-- By hand: the middle columns explain the difference: who does not pay is in `revenue` and on no invoice, minimums are on invoices and in no charge.
SELECT billing_month, currency, charges AS revenue, less_not_invoiced, minimums, less_discounts,
    commitments, adjustments, taxes, invoiced
FROM revenue_bridge
ORDER BY billing_month, currency;
