{{ config(materialized='ephemeral') }}
-- grain: invoice line × two versions as billed, one after the other, between which it differs
with
lines as (select * from {{ all_months(source('as_billed', 'lines_as_billed')) }}),

versions as (
    select
        invoice_id, version,
        lag(version) over (partition by invoice_id order by version) as version_before
    from (select distinct invoice_id, version from lines)
),

-- each line of the later version, of the earlier one, or of both
sides as (
    select versions.version_before, versions.version as version_after, 1 as sign, lines.*
    from versions
    inner join lines
        on versions.invoice_id = lines.invoice_id and versions.version = lines.version
    where versions.version_before is not null
    union all
    select versions.version_before, versions.version as version_after, -1 as sign, lines.*
    from versions
    inner join lines
        on versions.invoice_id = lines.invoice_id and versions.version_before = lines.version
)

select
    billing_month,
    invoice_id,
    version_before,
    version_after,
    line_id,
    currency,
    {% for column in ['customer_id', 'kind', 'charge_id', 'tax_rate_id', 'description'] %}
    arg_max({{ column }}, sign) as {{ column }},
    {% endfor %}
    any_value(quantity) filter (where sign < 0) as quantity_before,
    any_value(quantity) filter (where sign > 0) as quantity_after,
    coalesce(sum(amount) filter (where sign < 0), 0)::decimal(38, 4) as amount_before,
    coalesce(sum(amount) filter (where sign > 0), 0)::decimal(38, 4) as amount_after
from sides
group by billing_month, invoice_id, version_before, version_after, line_id, currency
having
    count(*) = 1
    or sum(sign * amount) <> 0
    or any_value(quantity) filter (where sign < 0)
    is distinct from any_value(quantity) filter (where sign > 0)
