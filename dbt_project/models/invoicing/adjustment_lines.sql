{{ config(materialized='view') }}
-- grain: adjustment of the month that is not 0: a line of its own, rounded
with
adjustments as (select * from {{ ref('stg_accounts__adjustments') }}),
run as (select * from {{ ref('stg_run') }}),

rounded as (
    select
        adjustments.*,
        currencies.exponent,
        case when adjustments.amount < 0 then -1 else 1 end
        * rounded_to_minor(exact(abs(adjustments.amount)).units, currencies.exponent) as line_amount
    from adjustments
    inner join {{ source('raw', 'currencies') }} as currencies
        on adjustments.currency = currencies.currency
    cross join run
    where adjustments.occurred_at >= run.month_start and adjustments.occurred_at < run.month_end
)

select
    'li_' || left(md5(concat_ws('|', 'adjustment', adjustment_id)), 24) as line_id,
    customer_id,
    subscription_id,
    'adjustment' as kind,
    adjustment_id,
    tax_code,
    coalesce(nullif(trim(description), ''), 'Adjustment ' || adjustment_id) as description,
    line_amount as amount,
    currency,
    'adjustment of ' || plain(amount) || '; ' || {{ rounded_text('line_amount') }} as calculation
from rounded
where line_amount <> 0
