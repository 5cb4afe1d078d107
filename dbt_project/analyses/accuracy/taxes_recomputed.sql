-- Does the tax of any invoice differ from its rate times its base?
-- By hand: none. Multiply `tax_base` by the percentage; the tax of an invoice and rate is rounded once, so less than a cent may differ (a unit, in currencies without cents).
SELECT taxes.invoice_id, tax_rate_id, sum(tax_base) AS base, sum(tax_amount) AS tax
FROM line_taxes AS taxes
INNER JOIN invoices USING (billing_month, invoice_id)
WHERE NOT is_inclusive
GROUP BY taxes.invoice_id, tax_rate_id, percentage, currency
HAVING abs(sum(tax_base) * percentage - sum(tax_amount) * 100)
    >= CASE WHEN currency IN ('JPY', 'KRW', 'CLP') THEN 100 ELSE 1 END
ORDER BY taxes.invoice_id;
