-- usage that nothing charges, and usage that several subscriptions charge
select
    billing_month,
    'usage' as part,
    'usage_charged_twice' as kind,
    concat_ws(' ', customer_id, meter_id) as subject,
    customer_id,
    'several subscriptions of ' || customer_id || ' charge the same events of ' || meter_id
        || ': let events name a subscription_id' as reason
from {{ all_months(ref('usage_issues')) }}
where reason = 'charged_by_several_subscriptions'
union all by name
select
    billing_month,
    'usage' as part,
    'usage_unpriced' as kind,
    concat_ws(' ', customer_id, event_name, reason) as subject,
    customer_id,
    event_count as items,
    event_count || ' events ' || event_name || ' of ' || customer_id || ' are charged by nothing: '
        || case reason
            when 'price_gap' then 'no version of the price is valid at their time'
            when 'no_matching_filter' then 'they match no filter of its prices'
            when 'no_price' then 'no price of the plan reads them'
            else 'no subscription at their time'
        end as reason
from {{ all_months(ref('unpriced_usage')) }}
