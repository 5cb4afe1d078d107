select * from {{ source('raw', 'plan_entitlements') }}
