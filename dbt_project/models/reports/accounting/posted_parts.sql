{{ config(materialized='ephemeral') }}
-- grain: posted line × month in which a part of it is earned; tax and prepaid commitments are one part

-- By the day: a month's part is what its days are of all days of the service period, cut off to the
-- minor unit over all days so far, so that the last month has the rest.
with
lines as (
    select
        *,
        account like 'revenue_%' as is_revenue,
        (net * 1000)::hugeint // thousandths as minor_units,
        (end_day - first_day)::hugeint as days
    from {{ ref('posted_lines') }}
),

months as (
    select
        *,
        unnest(case when is_revenue then generate_series(
            date_trunc('month', first_day), date_trunc('month', end_day - 1), interval 1 month
        ) else [issued_month::timestamp] end)::date as recognized_month
    from lines
),

counted as (
    select
        *,
        greatest(recognized_month - first_day, 0)::hugeint as days_before,
        (least((recognized_month + interval 1 month)::date, end_day) - first_day)::hugeint as days_through
    from months
)

select
    *,
    recognized_month < issued_month as is_unbilled,
    case
        when is_revenue then (
            (minor_units * days_through // days - minor_units * days_before // days) * thousandths
        )::decimal(35, 0) * 0.001::decimal(4, 3)
        else net
    end as amount
from counted
