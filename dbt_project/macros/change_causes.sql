{#
  What differs between two versions of a charge, `earlier` and `later`, either of which may be
  missing: all that `change_causes` asks for but whether the account is another.
#}
{% macro charge_differences() -%}
    earlier.charge_id is not null as was_there,
    later.charge_id is not null as is_there,
    earlier.quantity as quantity_before,
    later.quantity as quantity_after,
    coalesce(earlier.amount, 0)::decimal(38, 4) as amount_before,
    coalesce(later.amount, 0)::decimal(38, 4) as amount_after,
    (earlier.exact_amount is distinct from later.exact_amount) as is_other_amount,
    later.event_count - earlier.event_count as more_events,
    later.correction_count <> earlier.correction_count as is_corrected,
    later.price_terms <> earlier.price_terms as is_other_price,
    later.meter_id is not null as is_usage
{%- endmacro %}

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
