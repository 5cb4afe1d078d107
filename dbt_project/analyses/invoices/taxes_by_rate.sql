-- How much tax, by country and rate?
-- By hand: the invoices of the country's customers: base × percentage, each rounded to the cent.
SELECT taxes.billing_month, country, taxes.tax_rate_id, taxes.percentage,
    sum(tax_base) AS base, sum(tax_amount) AS tax
FROM line_taxes AS taxes
INNER JOIN invoices USING (billing_month, invoice_id)
INNER JOIN customers USING (billing_month, customer_id)
GROUP BY ALL
ORDER BY taxes.billing_month, country, taxes.tax_rate_id;
