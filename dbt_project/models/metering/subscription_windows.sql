{{ config(materialized=stored_on_spark()) }}
-- grain: time in which usage is measured for a price, cut in two where a trial ends, or for a cost
with
priced as (select * from {{ ref('active_times') }}),

split as (
    select
        * {{ exclude('active_start', 'active_end', 'trial_ends_at') }},
        true as is_trial,
        active_start as window_start,
        least(active_end, trial_ends_at) as window_end
    from priced
    where trial_ends_at > active_start
    union all
    select
        * {{ exclude('active_start', 'active_end', 'trial_ends_at') }},
        false as is_trial,
        greatest(active_start, coalesce(trial_ends_at, active_start)) as window_start,
        active_end as window_end
    from priced
)

select
    *,
    subscription_id as reads_subscription_id,
    true as reads_unnamed,
    false as is_cost,
    cast(null as varchar(20)) as cost_plan_id,
    true as costs_unused
from split
where window_start < window_end
union all
select
    * {{ exclude(
        'active_start', 'active_end', 'reads_subscription_id', 'reads_unnamed', 'cost_plan_id',
        'costs_unused'
    ) }},
    false as is_trial,
    active_start as window_start,
    active_end as window_end,
    reads_subscription_id,
    reads_unnamed,
    true as is_cost,
    cost_plan_id,
    costs_unused
from {{ ref('cost_times') }}
