-- grain: customer with several subscriptions of whom some event names one
select distinct customer_id
from {{ source('raw', 'usage_events') }}
where
    subscription_id is not null
    and customer_id in (
        select customer_id from {{ source('raw', 'subscriptions') }}
        group by customer_id
        having count(distinct subscription_id) > 1
    )
