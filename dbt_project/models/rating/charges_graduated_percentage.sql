{{ config(materialized='view') }}
-- grain: charge of the model `graduated_percentage`: each part of the quantity at its tier's
-- percentage, plus the flat_amount of each entered tier
{{ tiered_charges('graduated_percentage', "plain(percentage) || ' %'") }}
