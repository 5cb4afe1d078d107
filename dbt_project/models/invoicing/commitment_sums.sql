-- grain: commitment whose term this month, or the next one, is in, or for whose term this month still
-- charges: what was spent of it before this month, as those months were last published, and what this
-- month adds
with
run as (select * from {{ ref('stg_run') }}),

commitments as (
    select terms.*, currencies.exponent
    from {{ ref('stg_accounts__commitments') }} as terms
    inner join {{ source('raw', 'currencies') }} as currencies on terms.currency = currencies.currency
    cross join run
    inner join {{ ref('stg_months') }} as coming on run.month_end = coming.month_start
    where terms.starts_at < coming.month_end
),

lines as (
    select
        line_id, payer_id, customer_id, currency, price_id, period_end, net_amount as before_amount,
        0 as month_amount, false as is_of_month
    from {{ source('raw', 'published_lines') }}
    union all by name
    select
        line_id, payer_id, customer_id, currency, price_id, period_end, 0 as before_amount,
        amount - discount_share as month_amount, true as is_of_month
    from {{ ref('discounted_lines') }}
),

counted as (
    select
        commitments.commitment_id,
        sum(lines.before_amount) as spent_before,
        sum(lines.month_amount) as spent_in_month,
        bool_or(lines.is_of_month) as is_charged
    from commitments
    inner join lines
        on commitments.currency = lines.currency
        -- its own, and those of customers who are billed to it
        and (commitments.customer_id = lines.customer_id or commitments.customer_id = lines.payer_id)
        and lines.period_end > commitments.starts_at
        and lines.period_end <= commitments.ends_at
        and (
            commitments.price_ids is null
            or list_contains(string_split(commitments.price_ids, ';'), lines.price_id)
        )
    group by commitments.commitment_id
),

-- of the term, before this month, and not published
missing as (
    select
        commitments.commitment_id,
        string_agg(strftime(months.billing_month, '%Y-%m'), ', ' order by months.billing_month)
            as missing_months
    from commitments
    cross join run
    inner join {{ ref('stg_months') }} as months
        on commitments.starts_at < months.month_end and months.billing_month < run.billing_month
    where months.billing_month not in (select billing_month from {{ source('raw', 'published_months') }})
    group by commitments.commitment_id
)

select
    commitments.*,
    coalesce(counted.spent_before, 0) as spent_before,
    coalesce(counted.spent_before, 0) + coalesce(counted.spent_in_month, 0) as spent,
    missing.missing_months
from commitments
cross join run
left join counted on commitments.commitment_id = counted.commitment_id
left join missing on commitments.commitment_id = missing.commitment_id
-- a quarter that ended within the term may be invoiced after it
where commitments.ends_at > run.month_start or counted.is_charged
