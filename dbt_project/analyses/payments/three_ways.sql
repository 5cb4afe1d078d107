-- Do our charges, Stripe's invoices and the money in the bank agree, and where do they not?
-- By hand: an invoice in Stripe's dashboard, its payment there, and the payout that the payment is in.
SELECT billing_month, currency, state, count(*) AS invoices, sum(expected_total) AS charged,
    sum(stripe_total) AS in_stripe, sum(received) AS received, sum(fees) AS fees,
    sum(paid_out) AS paid_out, sum(not_paid_out) AS not_paid_out
FROM three_way_reconciliation
GROUP BY ALL
ORDER BY ALL;
