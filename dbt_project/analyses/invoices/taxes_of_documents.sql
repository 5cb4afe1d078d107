-- Which tax does each kind of document show: what was billed first, and what was corrected?
-- By hand: the tax on one document's PDF; a corrected rate has the old tax on the invoice and the difference on the credit note or supplement.
SELECT documents.billing_month, documents.kind, taxes.tax_rate_id, taxes.percentage,
    count(DISTINCT document_id) AS documents, sum(tax_base) AS base, sum(tax_amount) AS tax
FROM document_taxes AS taxes
INNER JOIN documents USING (document_id)
GROUP BY ALL
ORDER BY ALL;
