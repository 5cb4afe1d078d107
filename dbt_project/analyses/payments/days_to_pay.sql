-- How long do customers take to pay (DSO), weighted by amount?
-- By hand: for one invoice, the days between `issued_at` and `paid_at`; in the sample, cards are charged at once.
SELECT payments.billing_month, payments.currency,
    sum((payments.amount * 10000)::HUGEINT * date_diff('day', issued_at, paid_at))
    // sum((payments.amount * 10000)::HUGEINT) AS days
FROM payments
INNER JOIN documents USING (billing_month, invoice_id)
WHERE payments.kind = 'payment' AND documents.kind = 'invoice'
GROUP BY ALL
ORDER BY ALL;
