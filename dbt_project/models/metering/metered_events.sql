{{ config(materialized='view') }}
-- grain: reading × window that measures it
{{ measured(ref('meter_readings'), ref('window_keys')) }}
