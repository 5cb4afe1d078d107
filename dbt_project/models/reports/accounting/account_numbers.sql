{{ config(materialized='ephemeral') }}
-- grain: account of the journal × detail (a tax rate, a plan; empty: all others), with its number and
-- name: the newest month's catalog/accounts.csv, else the default of dbt_project.yml
with
defaults as (
    {%- for account in var('accounts') %}
    {%- set known = var('accounts')[account] %}
    select '{{ account }}' as account, '{{ known.number }}' as number, '{{ known.name }}' as name
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

given as materialized (
    select *
    from {{ all_months(ref('book_accounts')) }}
    where billing_month = (select max(billing_month) from {{ all_months(ref('seller')) }})
)

select
    defaults.account,
    null::varchar as detail,
    coalesce(given.number, defaults.number) as number,
    coalesce(given.name, defaults.name) as name,
    given.xero_tax_rate
from defaults
left join given on defaults.account = given.account and given.detail is null
union all
select
    given.account,
    given.detail,
    given.number,
    coalesce(given.name, defaults.name) as name,
    given.xero_tax_rate
from given
inner join defaults on given.account = defaults.account
where given.detail is not null
