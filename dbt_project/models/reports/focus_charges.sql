select
    lines.billing_month,
    lines.amount as "BilledCost",
    lines.customer_id as "BillingAccountId",
    lines.customer_name as "BillingAccountName",
    lines.currency as "BillingCurrency",
    lines.billed_to as "BillingPeriodEnd",
    lines.billed_from as "BillingPeriodStart",
    case
        when lines.kind = 'tax' then 'Tax'
        when lines.kind in ('discount', 'credit_note') then 'Credit'
        when lines.is_usage or lines.kind in ('commitment', 'overage') and not lines.is_prepaid then 'Usage'
        when lines.kind = 'charge' or lines.is_prepaid then 'Purchase'
        else 'Adjustment'
    end as "ChargeCategory",
    case when lines.is_correction then 'Correction' end as "ChargeClass",
    lines.description as "ChargeDescription",
    case
        when lines.is_usage then 'Usage-Based'
        when lines.kind in ('charge', 'minimum') then 'Recurring'
        else 'One-Time'
    end as "ChargeFrequency",
    lines.period_end as "ChargePeriodEnd",
    lines.period_start as "ChargePeriodStart",
    case when lines.is_usage then lines.quantity end as "ConsumedQuantity",
    case when lines.is_usage then 'Units' end as "ConsumedUnit",
    lines.amount as "ContractedCost",
    -- what is bought with it costs when it is used
    case when lines.is_prepaid then 0 else lines.amount end::decimal(38, 4) as "EffectiveCost",
    lines.invoice_id as "InvoiceId",
    lines.seller_name as "InvoiceIssuerName",
    lines.amount as "ListCost",
    case
        when lines.charge_model = 'dynamic' then 'Dynamic'
        when lines.charge_model is not null then 'Standard'
    end as "PricingCategory",
    case when lines.charge_model is not null then lines.billable_quantity end as "PricingQuantity",
    case when lines.charge_model is not null then 'Units' end as "PricingUnit",
    lines.seller_name as "ProviderName",
    lines.seller_name as "PublisherName",
    'Other' as "ServiceCategory",
    coalesce(lines.plan_id, 'All plans') as "ServiceName",
    'Other (Other)' as "ServiceSubcategory",
    lines.price_id as "SkuId",
    lines.meter_id as "SkuMeter",
    case
        when lines.charge_model is not null
            then json_object('x_ChargeModel', lines.charge_model)::varchar
    end as "SkuPriceDetails",
    lines.price_id as "SkuPriceId",
    lines.subscription_id as "SubAccountId",
    lines.subscription_id as "SubAccountName",
    lines.charge_id as "x_ChargeId",
    lines.document_id as "x_DocumentId",
    lines.line_id as "x_LineId"
from {{ ref('focus_rows') }} as lines
