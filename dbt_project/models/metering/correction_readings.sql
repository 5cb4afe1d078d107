{{ config(materialized=stored_on_spark()) }}
-- grain: correction × gauge that takes it as a reading: where no meter adds corrections of that event
with
meters as (select * from {{ ref('stg_catalog__meters') }}),

added as (
    select event_name from meters
    where
        event_name is not null
        and aggregation in ({{ aggregations_where('adds_up') }})
),

gauges as (
    select * from meters
    where
        (
            aggregation in ({{ aggregations_where('is_gauge') }})
            or aggregation in ({{ aggregations_where('carries_forward') }})
        )
        and event_name not in (select event_name from added)
),

corrections as (
    select
        corrections.customer_id,
        corrections.event_name,
        corrections.occurred_at,
        corrections.quantity,
        corrections.properties,
        cast(null as varchar(20)) as subscription_id,
        'accounts/usage_corrections' as source_file,
        corrections.source_row,
        corrections.correction_id as event_id,
        months.billing_month as usage_month,
        -- rows of usage files are numbered from 0
        -corrections.source_row as row_id
    from {{ ref('stg_accounts__usage_corrections') }} as corrections
    inner join {{ ref('stg_months') }} as months
        on
            corrections.occurred_at >= months.month_start
            and corrections.occurred_at < months.month_end
)

{{ readings_by('gauges', 'corrections', is_correction=true) }}
