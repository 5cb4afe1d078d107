{{ config(meta={'dagster': {'ref': {'name': 'invoice_lines'}}}) }}
-- a charge, a coupon, a tax rate, an adjustment, a commitment, a subscription's minimum, or a line of
-- a month whose books are closed
select line_id
from {{ ref('invoice_lines') }} as lines
where lines.corrected_month is null and not case lines.kind
    when 'charge' then lines.charge_id in (select charge_id from {{ ref('charges') }})
    when 'discount' then lines.coupon_id in (select coupon_id from {{ ref('stg_catalog__coupons') }})
    when 'tax' then lines.tax_rate_id in (select tax_rate_id from {{ ref('stg_catalog__tax_rates') }})
    when 'adjustment'
        then lines.adjustment_id in (select adjustment_id from {{ ref('stg_accounts__adjustments') }})
    when 'commitment'
        then lines.commitment_id in (select commitment_id from {{ ref('stg_accounts__commitments') }})
    when 'overage'
        then lines.commitment_id in (select commitment_id from {{ ref('stg_accounts__commitments') }})
    when 'minimum' then lines.subscription_id is not null
    else false
end
