{{ config(materialized='view') }}
-- grain: charge of the model `graduated`: each unit at the rate of the tier it falls in, plus the
-- flat_amount of each entered tier
{{ tiered_charges('graduated', 'plain(unit_amount)') }}
