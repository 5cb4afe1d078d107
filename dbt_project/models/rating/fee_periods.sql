{{ config(materialized='view') }}
-- grain: part of a billing period for which a recurring fee is due on this month's invoice, by kind;
-- of fees that are prorated, and of those that are not

-- Kinds:
--   arrears         a part of a period that is invoiced in this month
--   advance         a coming period, in full, if the plan goes on until it begins
--   advance_start   what could not be charged in advance: the plan, or another quantity, begins
--   advance_credit  the unused rest of what was charged in advance and ended early
--   run_rate        the whole period at the month's end, for recurring revenue: not charged
with
parts as (select * from {{ ref('fee_parts') }}),
invoiced as (select * from {{ ref('billing_periods') }}),
run as (select * from {{ ref('stg_run') }}),

arrears as (
    select parts.*
    from parts
    inner join invoiced
        on parts.subscription_id = invoiced.subscription_id
        and parts.subscription_number = invoiced.subscription_number
        and parts.plan_number = invoiced.plan_number
        and parts.period_start = invoiced.period_start
        and parts.price_interval is not distinct from invoiced.price_interval
),

changed as (
    select
        parts.*,
        case
            -- with the period before
            when parts.billing_cycle = '30_days' then parts.period_start
            when parts.begins_inside or parts.starts_at >= months.month_start then months.month_end
            else months.month_start
        end as month_sold_until
    from parts
    asof inner join {{ ref('stg_months') }} as months on parts.part_start >= months.month_start
    where
        parts.has_ended
        and not parts.is_first_charged
        and parts.fee_ends_at < parts.period_end
        and case
            when parts.fee_ends_at = parts.ends_at then parts.fee_ends_at > parts.settled_from
            else parts.fee_ends_at >= parts.settled_from
        end
)

select *, 'arrears' as kind, 'arrears' as timing, period_start as billing_period_start,
    part_start as due_start, part_end as due_end
from arrears
union all by name
select *, 'advance_start' as kind, 'advance' as timing, period_start as billing_period_start,
    part_start as due_start, case when has_ended then part_end else period_end end as due_end
from parts
where is_first_charged
union all by name
select parts.*, 'advance' as kind, 'advance' as timing,
    run.month_start as billing_period_start, period_start as due_start, period_end as due_end
from parts
inner join run on parts.period_start >= run.month_end and parts.starts_at < run.month_end
where fee_starts_at <= period_start
union all by name
select * from {{ ref('coming_thirty_days') }}
union all by name
select parts.* replace (fees.prorate as prorate), 'run_rate' as kind, fees.timing,
    period_start as billing_period_start, period_start as due_start, period_end as due_end
from parts
inner join run on parts.period_start <= run.month_end and parts.period_end > run.month_end
cross join (values (true, 'arrears'), (true, 'advance'), (false, 'arrears'), (false, 'advance'))
    as fees (prorate, timing)
where
    parts.prorate
    and (parts.price_interval is not null or parts.billing_cycle = 'anniversary')
    and parts.starts_at < run.month_end
    and parts.fee_starts_at <= run.month_end
    and coalesce(parts.fee_ends_at > run.month_end, true)
union all by name
select *, 'advance_credit' as kind, 'advance' as timing, period_start as billing_period_start,
    fee_ends_at as due_start, period_end as due_end
from changed
