-- One month's charges, tiers, lines and invoices by hand: what a good analyst would write for this
-- company alone, in one script of plain DECIMALs, with the pipeline's ids, texts and columns.
--
-- It reads the pipeline's metered quantities and price book (`ours`), and knows of nothing that the
-- company does not have: no proration, versions, trials, seats, minimums, coupons, commitments, taxes
-- or wallets; one currency of two places, quantities of three places, rates of six. It is the
-- yardstick of rating and invoicing: it is not changed once the pipeline is measured against it.

-- 17.500 as 17.5
create macro short(number) as rtrim(rtrim(number::varchar, '0'), '.');

create table items as
select
    'ch_' || left(md5(concat_ws(
        '|', metered.subscription_id, metered.price_id, 'usage', epoch_us(metered.period_start)
    )), 24) as charge_id,
    metered.customer_id,
    metered.subscription_id,
    prices.plan_id,
    metered.price_id,
    metered.meter_id,
    'usage' as kind,
    prices.charge_model,
    prices.currency,
    metered.quantity::decimal(18, 3) as quantity,
    greatest(metered.quantity - coalesce(prices.included_quantity, 0), 0)::decimal(18, 3) as billable,
    metered.event_count,
    metered.period_start,
    metered.period_end,
    prices.description,
    prices.included_quantity::decimal(18, 3) as included_quantity,
    prices.unit_amount::decimal(18, 6) as unit_amount,
    prices.flat_amount::decimal(18, 6) as flat_amount,
    prices.package_size::decimal(18, 3) as package_size,
    prices.percentage::decimal(18, 6) as percentage
from ours.metered_usage as metered
inner join ours.raw.prices as prices on metered.price_id = prices.price_id
where metered.quantity <> 0 or metered.event_count > 0
union all by name
select
    'ch_' || left(md5(concat_ws(
        '|', subscriptions.subscription_id, prices.price_id, 'arrears', epoch_us(run.month_start)
    )), 24) as charge_id,
    subscriptions.customer_id,
    subscriptions.subscription_id,
    prices.plan_id,
    prices.price_id,
    'arrears' as kind,
    prices.charge_model,
    prices.currency,
    subscriptions.quantity::decimal(18, 3) as quantity,
    quantity as billable,
    0 as event_count,
    run.month_start as period_start,
    run.month_end as period_end,
    prices.description,
    prices.flat_amount::decimal(18, 6) as flat_amount
from ours.raw.subscriptions as subscriptions
inner join ours.raw.prices as prices on subscriptions.plan_id = prices.plan_id
cross join ours.stg_run as run
where prices.meter_id is null;

create table charge_tiers as
with
tiers as (
    select
        price_id,
        row_number() over by_bound as tier,
        lag(up_to, 1, 0) over by_bound as from_quantity,
        up_to,
        unit_amount
    from ours.raw.price_tiers
    window by_bound as (partition by price_id order by up_to nulls last)
),

entered as (
    select
        items.charge_id,
        tiers.*,
        case
            when items.charge_model = 'volume' then items.billable
            else least(items.billable, coalesce(tiers.up_to, items.billable)) - tiers.from_quantity
        end::decimal(18, 3) as quantity
    from items
    inner join tiers on items.price_id = tiers.price_id
    where
        (tiers.tier = 1 or items.billable > tiers.from_quantity)
        and (items.charge_model <> 'volume' or tiers.up_to is null or items.billable <= tiers.up_to)
)

select
    entered.charge_id,
    run.billing_month,
    entered.tier::integer as tier,
    entered.from_quantity,
    entered.up_to,
    entered.quantity::decimal(38, 18) as quantity,
    entered.unit_amount,
    0::decimal(38, 12) as flat_amount,
    0::decimal(38, 12) as percentage,
    (entered.quantity * entered.unit_amount::decimal(18, 6))::decimal(38, 12) as exact_amount
from entered
cross join ours.stg_run as run;

create table charges as
with
by_tiers as (
    select
        charge_id,
        sum(exact_amount) as exact_amount,
        string_agg(
            'tier ' || tier || ': ' || short(quantity) || ' × ' || short(unit_amount), '; '
            order by tier
        ) as model_text
    from charge_tiers
    group by charge_id
),

rated as (
    select
        items.*,
        case items.charge_model
            when 'flat' then flat_amount::decimal(38, 12)
            when 'per_unit' then (billable * unit_amount)::decimal(38, 12)
            when 'package'
                then (ceil(billable / package_size)::bigint * unit_amount)::decimal(38, 12)
            when 'percentage' then (billable * percentage * 0.01)::decimal(38, 12)
            else by_tiers.exact_amount
        end as exact_amount,
        case items.charge_model
            when 'flat' then 'flat ' || short(flat_amount)
            when 'per_unit' then short(billable) || ' × ' || short(unit_amount)
            when 'package'
                then '⌈' || short(billable) || ' ÷ ' || short(package_size) || '⌉ = '
                    || ceil(billable / package_size)::bigint || ' packages × ' || short(unit_amount)
            when 'percentage' then short(billable) || ' × ' || short(percentage) || ' %'
            else by_tiers.model_text
        end as model_text
    from items
    left join by_tiers on items.charge_id = by_tiers.charge_id
),

rounded as (select *, round(exact_amount, 2)::decimal(38, 4) as amount from rated)

select
    rounded.charge_id,
    run.billing_month,
    rounded.customer_id,
    rounded.subscription_id,
    1::bigint as subscription_number,
    rounded.plan_id,
    rounded.price_id,
    rounded.meter_id,
    rounded.kind,
    rounded.charge_model,
    rounded.currency,
    rounded.quantity::decimal(38, 18) as quantity,
    rounded.billable::decimal(38, 18) as billable_quantity,
    rounded.event_count::bigint as event_count,
    rounded.exact_amount,
    rounded.amount,
    rounded.period_start,
    rounded.period_end,
    run.month_start as billing_period_start,
    null::timestamptz as month_sold_until,
    null::varchar as tax_code,
    replace(rounded.description, '{month}', strftime(run.billing_month, '%B %Y')) as description,
    concat_ws(
        '; ',
        case
            when rounded.kind = 'usage'
                then rounded.event_count || ' events, metered ' || short(rounded.quantity)
            else 'quantity ' || short(rounded.quantity)
        end,
        case
            when rounded.included_quantity > 0
                then short(rounded.included_quantity) || ' included, ' || short(rounded.billable) || ' billable'
        end,
        rounded.charge_model || ': ' || rounded.model_text,
        'exactly ' || short(rounded.exact_amount) || ', rounded to ' || left(rounded.amount::varchar, -2)
            || ' ' || rounded.currency
    ) as calculation
from rounded
cross join ours.stg_run as run;

create table invoice_lines as
select
    'li_' || left(md5(charge_id), 24) as line_id,
    'in_' || strftime(billing_month, '%Y%m') || '_'
        || left(md5(concat_ws('|', customer_id, currency, billing_month)), 16) as invoice_id,
    billing_month,
    customer_id,
    subscription_id,
    'charge' as kind,
    charge_id,
    null::varchar as coupon_id,
    null::varchar as commitment_id,
    null::varchar as adjustment_id,
    null::varchar as tax_rate_id,
    false as is_inclusive,
    (row_number() over (
        partition by customer_id order by subscription_id, period_start, description, line_id
    ))::integer as position,
    description,
    quantity,
    amount,
    currency,
    period_start,
    period_end,
    null::varchar as calculation,
    null::date as corrected_month
from charges
where amount <> 0;

create table invoices as
with
sums as (
    select
        invoice_id,
        billing_month,
        customer_id,
        currency,
        sum(amount)::decimal(38, 4) as total,
        count(*)::integer as line_count,
        md5(string_agg(
            concat_ws('|', line_id, kind, description, amount, epoch_us(period_start), epoch_us(period_end)),
            chr(10) order by position
        )) as content_hash
    from invoice_lines
    group by all
)

select
    sums.invoice_id,
    sums.billing_month,
    sums.customer_id,
    sums.currency,
    sums.total as subtotal,
    0::decimal(38, 4) as discount,
    0::decimal(38, 4) as tax,
    0::decimal(38, 4) as tax_included,
    sums.total,
    0::decimal(38, 4) as wallet_applied,
    sums.total as amount_due,
    (sums.billing_month + to_months(1))::date as due_date,
    sums.line_count,
    customers.collection_method,
    null::integer as days_until_due,
    sums.content_hash
from sums
inner join ours.raw.customers as customers on sums.customer_id = customers.customer_id;
