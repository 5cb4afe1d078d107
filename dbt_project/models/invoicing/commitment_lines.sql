{{ config(materialized='view') }}
-- grain: commitment × kind of line: the amount that is paid beforehand, the rest that its last invoice
-- fills, and the price of what this month spent beyond it
with
run as (select * from {{ ref('stg_run') }}),

sums as (
    select
        sums.*,
        run.billing_month,
        run.month_start,
        run.month_end,
        greatest(sums.spent - sums.amount, 0)
        - greatest(sums.spent_before - sums.amount, 0) as beyond
    from {{ ref('commitment_sums') }} as sums
    cross join run
),

lines as (
    select
        * replace ('commitment' as kind),
        rounded_to_minor(exact(amount - spent).units, exponent) as line_amount,
        'Commitment ' || commitment_id || ' of ' || plain(amount) || ' ' || currency
        || ': the rest' as description,
        'committed ' || plain(amount) || '; less ' || plain(spent) || ' spent' as computed
    from sums
    -- what ends as the month does ends in it
    where
        kind = 'true_up' and ends_at > month_start and ends_at <= month_end
        and amount > spent
    union all by name
    -- it is paid beforehand, and what is bought with it is taxed
    select
        * replace ('commitment' as kind),
        rounded_to_minor(exact(amount).units, exponent) as line_amount,
        'Commitment ' || commitment_id || ' of ' || plain(amount) || ' ' || currency
        || ', paid beforehand' as description,
        'committed ' || plain(amount) || ', paid beforehand' as computed,
        false as is_taxed
    from sums
    where kind = 'prepaid' and starts_at >= month_start and starts_at < month_end
    union all by name
    -- where credits bring the sum down again, what was charged beyond it is given back
    select
        * replace ('overage' as kind),
        case when beyond < 0 then -1 else 1 end * rounded_to_minor(
            exact_percentage(exact(abs(beyond)), overage_percent).units, exponent
        ) as line_amount,
        'Beyond commitment ' || commitment_id || ': ' || plain(overage_percent) || ' % more'
            as description,
        plain(overage_percent) || ' % of ' || plain(beyond) || ' beyond ' || plain(amount)
            as computed
    from sums
    where overage_percent > 0 and beyond <> 0
)

select
    'li_' || left(md5(concat_ws('|', kind, commitment_id)), 24) || strftime(billing_month, '%Y%m')
        as line_id,
    customer_id,
    kind,
    commitment_id,
    description,
    line_amount as amount,
    currency,
    starts_at as period_start,
    ends_at as period_end,
    coalesce(is_taxed, true) as is_taxed,
    computed || coalesce('; not published, counted as 0: ' || missing_months, '')
    || '; ' || {{ rounded_text('line_amount') }} as calculation
from lines
where line_amount <> 0
