-- Invoice line, or charge of 0 of a payer, in the columns of FOCUS 1.2 (FinOps Open Cost and Usage Specification).
-- billing_month: First day of the billing month; not a column of FOCUS.
-- BilledCost: The line's amount, major units; the rows of an invoice add up to its total.
-- BillingAccountId: The customer.
-- BillingAccountName: The customer's name when the month was computed.
-- BillingCurrency: ISO 4217 code of all costs of the row.
-- BillingPeriodEnd: First instant after the billing month, UTC.
-- BillingPeriodStart: First instant of the billing month in the billing time zone, UTC.
-- ChargeCategory: Usage (a meter's charge), Purchase (a recurring fee), Tax, Credit (a coupon) or Adjustment (a minimum's true-up).
-- ChargeClass: Always empty: a correction restates the month that it belongs to.
-- ChargeDescription: Text of the invoice line.
-- ChargeFrequency: Usage-Based, Recurring or One-Time.
-- ChargePeriodEnd: First instant after the service period, UTC; the month's where the line has none.
-- ChargePeriodStart: First instant of the service period, UTC; the month's where the line has none.
-- ConsumedQuantity: Measured quantity of a usage charge.
-- ConsumedUnit: Units, where there is a ConsumedQuantity: a meter names no unit of measure.
-- ContractedCost: As BilledCost: coupons and minimums are rows of their own.
-- EffectiveCost: As BilledCost: nothing is amortized.
-- InvoiceId: Our invoice; empty for a charge of 0, which is on none.
-- InvoiceIssuerName: The seller; accounts/seller.csv.
-- ListCost: As BilledCost: prices of the catalog are the prices that are charged.
-- PricingCategory: Standard; Dynamic where each event carries its amount; empty for other rows than charges.
-- PricingQuantity: Quantity of a charge after rounding and the included part.
-- PricingUnit: Units, where there is a PricingQuantity.
-- ProviderName: The seller; accounts/seller.csv.
-- PublisherName: The seller; accounts/seller.csv.
-- ServiceCategory: Other: the catalog does not classify plans.
-- ServiceName: The plan; All plans for what is computed over the whole invoice.
-- ServiceSubcategory: Other (Other).
-- SkuId: The price; empty for other rows than charges.
-- SkuMeter: The meter of a usage charge.
-- SkuPriceDetails: JSON with x_ChargeModel, how the price turns quantity into money.
-- SkuPriceId: The price; empty for other rows than charges.
-- SubAccountId: The subscription; empty for taxes.
-- SubAccountName: The subscription; it has no other name.
-- x_ChargeId: Our charge; table charges.
-- x_LineId: Our invoice line; table invoice_lines.
WITH plans AS (
    SELECT DISTINCT billing_month, subscription_id, plan_id
    FROM charges
),

-- a tax that prices include informs and adds nothing
lines AS (
    SELECT
        invoice_lines.billing_month,
        invoice_lines.line_id,
        invoice_lines.invoice_id,
        invoice_lines.customer_id,
        invoice_lines.subscription_id,
        invoice_lines.kind,
        invoice_lines.charge_id,
        invoice_lines.description,
        invoice_lines.amount,
        invoice_lines.currency,
        invoice_lines.period_start,
        invoice_lines.period_end
    FROM invoice_lines
    WHERE NOT invoice_lines.is_inclusive
    UNION ALL BY NAME
    SELECT
        charges.billing_month,
        charges.customer_id,
        charges.subscription_id,
        'charge' AS kind,
        charges.charge_id,
        charges.description,
        charges.amount,
        charges.currency,
        charges.period_start,
        charges.period_end
    FROM charges
    INNER JOIN customers
        ON charges.customer_id = customers.customer_id
        AND charges.billing_month = customers.billing_month
        AND customers.is_payer
    WHERE charges.amount = 0
)

SELECT
    lines.billing_month,
    lines.amount AS "BilledCost",
    lines.customer_id AS "BillingAccountId",
    customers.name AS "BillingAccountName",
    lines.currency AS "BillingCurrency",
    seller.month_end AS "BillingPeriodEnd",
    seller.month_start AS "BillingPeriodStart",
    CASE
        WHEN lines.kind = 'tax' THEN 'Tax'
        WHEN lines.kind = 'discount' THEN 'Credit'
        WHEN lines.kind <> 'charge' THEN 'Adjustment'
        WHEN charges.meter_id IS NULL THEN 'Purchase'
        ELSE 'Usage'
    END AS "ChargeCategory",
    NULL::VARCHAR AS "ChargeClass",
    lines.description AS "ChargeDescription",
    CASE
        WHEN lines.kind = 'charge' AND charges.meter_id IS NOT NULL THEN 'Usage-Based'
        WHEN lines.kind IN ('charge', 'minimum') THEN 'Recurring'
        ELSE 'One-Time'
    END AS "ChargeFrequency",
    coalesce(lines.period_end, seller.month_end) AS "ChargePeriodEnd",
    coalesce(lines.period_start, seller.month_start) AS "ChargePeriodStart",
    CASE WHEN charges.meter_id IS NOT NULL THEN charges.quantity END AS "ConsumedQuantity",
    CASE WHEN charges.meter_id IS NOT NULL THEN 'Units' END AS "ConsumedUnit",
    lines.amount AS "ContractedCost",
    lines.amount AS "EffectiveCost",
    lines.invoice_id AS "InvoiceId",
    seller.name AS "InvoiceIssuerName",
    lines.amount AS "ListCost",
    CASE
        WHEN charges.charge_model = 'dynamic' THEN 'Dynamic'
        WHEN charges.charge_id IS NOT NULL THEN 'Standard'
    END AS "PricingCategory",
    charges.billable_quantity AS "PricingQuantity",
    CASE WHEN charges.charge_id IS NOT NULL THEN 'Units' END AS "PricingUnit",
    seller.name AS "ProviderName",
    seller.name AS "PublisherName",
    'Other' AS "ServiceCategory",
    coalesce(charges.plan_id, plans.plan_id, 'All plans') AS "ServiceName",
    'Other (Other)' AS "ServiceSubcategory",
    charges.price_id AS "SkuId",
    charges.meter_id AS "SkuMeter",
    CASE
        WHEN charges.charge_id IS NOT NULL
            THEN json_object('x_ChargeModel', charges.charge_model)::VARCHAR
    END AS "SkuPriceDetails",
    charges.price_id AS "SkuPriceId",
    lines.subscription_id AS "SubAccountId",
    lines.subscription_id AS "SubAccountName",
    lines.charge_id AS "x_ChargeId",
    lines.line_id AS "x_LineId"
FROM lines
LEFT JOIN charges
    ON lines.charge_id = charges.charge_id AND lines.billing_month = charges.billing_month
LEFT JOIN plans
    ON lines.subscription_id = plans.subscription_id AND lines.billing_month = plans.billing_month
LEFT JOIN customers
    ON lines.customer_id = customers.customer_id AND lines.billing_month = customers.billing_month
LEFT JOIN seller ON lines.billing_month = seller.billing_month
