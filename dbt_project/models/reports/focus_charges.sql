with
plans as (
    select distinct billing_month, subscription_id, plan_id
    from {{ all_months(ref('charges')) }} as charges
)

select
    lines.billing_month,
    lines.amount as "BilledCost",
    lines.customer_id as "BillingAccountId",
    customers.name as "BillingAccountName",
    lines.currency as "BillingCurrency",
    seller.month_end as "BillingPeriodEnd",
    seller.month_start as "BillingPeriodStart",
    case
        when lines.kind = 'tax' then 'Tax'
        when lines.kind = 'discount' then 'Credit'
        when lines.kind <> 'charge' then 'Adjustment'
        when charges.meter_id is null then 'Purchase'
        else 'Usage'
    end as "ChargeCategory",
    null::varchar as "ChargeClass",
    lines.description as "ChargeDescription",
    case
        when lines.kind = 'charge' and charges.meter_id is not null then 'Usage-Based'
        when lines.kind in ('charge', 'minimum') then 'Recurring'
        else 'One-Time'
    end as "ChargeFrequency",
    coalesce(lines.period_end, seller.month_end) as "ChargePeriodEnd",
    coalesce(lines.period_start, seller.month_start) as "ChargePeriodStart",
    case when charges.meter_id is not null then charges.quantity end as "ConsumedQuantity",
    case when charges.meter_id is not null then 'Units' end as "ConsumedUnit",
    lines.amount as "ContractedCost",
    lines.amount as "EffectiveCost",
    lines.invoice_id as "InvoiceId",
    seller.name as "InvoiceIssuerName",
    lines.amount as "ListCost",
    case
        when charges.charge_model = 'dynamic' then 'Dynamic'
        when charges.charge_id is not null then 'Standard'
    end as "PricingCategory",
    charges.billable_quantity as "PricingQuantity",
    case when charges.charge_id is not null then 'Units' end as "PricingUnit",
    seller.name as "ProviderName",
    seller.name as "PublisherName",
    'Other' as "ServiceCategory",
    coalesce(charges.plan_id, plans.plan_id, 'All plans') as "ServiceName",
    'Other (Other)' as "ServiceSubcategory",
    charges.price_id as "SkuId",
    charges.meter_id as "SkuMeter",
    case
        when charges.charge_id is not null
            then json_object('x_ChargeModel', charges.charge_model)::varchar
    end as "SkuPriceDetails",
    charges.price_id as "SkuPriceId",
    lines.subscription_id as "SubAccountId",
    lines.subscription_id as "SubAccountName",
    lines.charge_id as "x_ChargeId",
    lines.line_id as "x_LineId"
from {{ ref('focus_lines') }} as lines
left join {{ all_months(ref('charges')) }} as charges
    on lines.charge_id = charges.charge_id and lines.billing_month = charges.billing_month
left join plans
    on lines.subscription_id = plans.subscription_id and lines.billing_month = plans.billing_month
left join {{ all_months(ref('customers')) }} as customers
    on lines.customer_id = customers.customer_id and lines.billing_month = customers.billing_month
left join {{ all_months(ref('seller')) }} as seller on lines.billing_month = seller.billing_month
