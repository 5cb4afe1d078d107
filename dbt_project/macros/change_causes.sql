{#
  Why a charge is another than before, in words: of a row with was_there, is_there, more_events,
  is_usage, quantity_before, quantity_after, is_corrected, is_other_price, is_other_account.
#}
{% macro change_causes() -%}
    coalesce(nullif(concat_ws(
        ', ',
        case
            when more_events > 0 then 'late usage'
            when more_events < 0 then 'usage removed'
            -- as many events and another value: one was replaced, or a gauge was carried on
            when
                is_usage and quantity_before <> quantity_after
                and not (is_corrected or is_other_price or is_other_account)
                then 'usage changed'
        end,
        case when is_corrected then 'correction' end,
        case
            when is_other_price or (was_there <> is_there and not is_other_account)
                then 'price change'
        end,
        case when is_other_account then 'account change' end
    ), ''), 'other')
{%- endmacro %}
