-- no recurring price is charged twice for the same time of one subscription. What is charged in
-- advance counts until it is given back: of two periods of 30 days that end in one month, the second
-- is charged on the invoice that also gives back the rest of it. A fee that is not prorated is not
-- given back once its period has begun, though the next plan has the same price.
with
charges as (select *, subscription_plan_id as plan_id from {{ ref('rated_charges') }}),

credits as (select * from charges where kind = 'advance_credit'),

charged as (
    select
        charges.charge_id,
        charges.subscription_id,
        charges.price_id,
        charges.plan_id,
        charges.prorate,
        charges.period_start,
        min(coalesce(credits.period_start, charges.period_end)) as charged_until
    from charges
    left join credits
        on charges.subscription_id = credits.subscription_id
        and charges.plan_id = credits.plan_id
        and charges.price_id = credits.price_id
        and charges.period_end = credits.period_end
        and (
            charges.period_start < credits.period_start
            or (charges.kind = 'advance' and charges.period_start = credits.period_start)
        )
    where charges.kind in ('arrears', 'advance', 'advance_start')
    group by all
)

select earlier.charge_id
from charged as earlier
inner join charged as later
    on earlier.subscription_id = later.subscription_id
    and earlier.price_id = later.price_id
    and earlier.charge_id < later.charge_id
    and earlier.period_start < later.charged_until
    and later.period_start < earlier.charged_until
    and (earlier.plan_id = later.plan_id or earlier.prorate or later.prorate)
