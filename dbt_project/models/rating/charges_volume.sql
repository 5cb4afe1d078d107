{{ config(materialized='view') }}
-- grain: charge of the model `volume`: all units at the rate of the tier that the total falls in, plus
-- that tier's flat_amount
{{ tiered_charges('volume', 'plain(unit_amount)') }}
