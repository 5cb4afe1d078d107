{# How facts (readings, corrections) find the prices whose filters they match: by a hash join on the
   texts of the properties that those filters name, so that the cost grows with events plus prices.

   A filter is rows of raw.filters: `paths` of properties, the `texts` that must stand there, and
   `bounds` of numbers. All facts of a customer and meter are read by each different list of paths
   that the customer's prices have, of which there are few. #}

{# Fact of `facts` × key of `keys` (window_keys, or what has their columns) that it matches, where
   `is_timely`. Facts have row_id, customer_id, meter_id, subscription_id, occurred_at and
   properties; the result has the facts' columns but properties, and of the key those in
   `key_columns`. A fact that names a subscription matches keys whose column `subscription` has that
   one, or none; one that names none those where `unnamed`. #}
{% macro matched(
    facts, keys, is_timely, key_columns, subscription='subscription_id', unnamed='true'
) -%}
    select
        {% for column in key_columns %}keys.{{ column }}, {% endfor -%}
        facts.* {{ exclude('properties', 'paths', 'texts') }}
    from (
        {{ read_by_paths(facts, 'select distinct customer_id, meter_id, paths from ' ~ keys) }}
    ) as facts
    inner join {{ keys }} as keys
        on facts.customer_id = keys.customer_id
        and facts.meter_id = keys.meter_id
        and facts.paths = keys.paths
        and facts.texts = keys.texts
        and {{ is_timely }}
        -- what names no subscription is for all of them, and a limit counts every event
        and coalesce(facts.subscription_id = keys.{{ subscription }}, {{ unnamed }})
    -- what `filter_rest` leaves to other prices
    left join ({{ claimed(facts, keys) }}) as claims
        on facts.row_id = claims.row_id
        and facts.meter_id = claims.meter_id
        and claims.plan_id = case when keys.filter_rest then keys.plan_id end
    where
        claims.row_id is null
        and {{ within_bounds('facts.properties', 'keys.bounds') }}
{%- endmacro %}

{# Fact × plan with a `filter_rest` price of the meter, where another price of that plan and meter
   claims it by its filter. No fact is read where no price has `filter_rest`. #}
{% macro claimed(facts, keys) -%}
    {%- set shapes -%}
        {# Each side once: a plan of thousands of prices has millions of pairs of them. #}
        select rests.customer_id, rests.meter_id, rests.plan_id, filters.paths
        from (
            select distinct customer_id, meter_id, plan_id from {{ keys }} where filter_rest
        ) as rests
        inner join (
            select distinct plan_id, meter_id, paths from {{ ref('plan_filters') }}
        ) as filters
            on rests.plan_id = filters.plan_id and rests.meter_id = filters.meter_id
    {%- endset -%}
    select distinct facts.row_id, facts.meter_id, facts.plan_id
    from ({{ read_by_paths(facts, shapes, 'shapes.plan_id, ') }}) as facts
    inner join {{ ref('plan_filters') }} as filters
        on facts.plan_id = filters.plan_id
        and facts.meter_id = filters.meter_id
        and facts.paths = filters.paths
        and facts.texts = filters.texts
        and (filters.valid_from is null or facts.occurred_at >= filters.valid_from)
        and (filters.valid_to is null or facts.occurred_at < filters.valid_to)
    where {{ within_bounds('facts.properties', 'filters.bounds') }}
{%- endmacro %}

{# Fact × shape of its customer and meter, with the texts at the shape's paths. #}
{% macro read_by_paths(facts, shapes, more='') -%}
    select
        {{ more }}facts.*,
        shapes.paths,
        {{ property_texts('facts.properties', 'shapes.paths') }} as texts
    from {{ facts }} as facts
    inner join ({{ shapes }}) as shapes
        on facts.customer_id = shapes.customer_id
        and facts.meter_id = shapes.meter_id
{%- endmacro %}

{# The texts of these properties, in order; null for one that is missing. #}
{% macro property_texts(properties, paths) -%}
    {{ adapter.dispatch('property_texts')(properties, paths) }}
{%- endmacro %}

{% macro default__property_texts(properties, paths) -%}
    list_transform({{ paths }}, lambda p: json_extract_string({{ properties }}, p))
{%- endmacro %}

{# Whether these properties are numbers within the bounds: above exclusive, up_to inclusive. #}
{% macro within_bounds(properties, bounds) -%}
    {{ adapter.dispatch('within_bounds')(properties, bounds) }}
{%- endmacro %}

{% macro default__within_bounds(properties, bounds) -%}
    (
        len({{ bounds }}) = 0
        or len(list_filter(
            list_transform({{ bounds }}, lambda b: {
                'bound': b,
                'number': {{ number_from_text('json_extract_string(' ~ properties ~ ', b.path)') }}
            }),
            lambda v: v.number is not null
                and coalesce(v.number > v.bound.above, true)
                and coalesce(v.number <= v.bound.up_to, true)
        )) = len({{ bounds }})
    )
{%- endmacro %}
