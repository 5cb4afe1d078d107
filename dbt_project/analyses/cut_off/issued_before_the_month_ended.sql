-- Was an invoice issued before its month was over?
-- By hand: none. Compare the date of an invoice in Stripe with the month's last day.
SELECT documents.billing_month, documents.number, documents.issued_at, seller.month_end
FROM documents
INNER JOIN seller USING (billing_month)
WHERE documents.issued_at < seller.month_end
ORDER BY documents.number;
