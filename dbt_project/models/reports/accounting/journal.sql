with
postings as (
    select * from {{ ref('document_postings') }}
    union all by name
    select * from {{ ref('settlement_postings') }}
    union all by name
    select * from {{ ref('money_postings') }}
),

-- what is below 0 is posted the other way round
sides as (
    select
        billing_month, entry_id, posted_on, kind, customer_id, invoice_id, document_id, currency,
        case when amount > 0 then debit else credit end as debit,
        case when amount > 0 then debit_detail else credit_detail end as debit_detail,
        case when amount > 0 then credit else debit end as credit,
        case when amount > 0 then credit_detail else debit_detail end as credit_detail,
        abs(amount)::decimal(38, 12) as amount
    from postings
    where amount <> 0
),

summed as materialized (
    select * exclude (amount), sum(amount)::decimal(38, 12) as amount from sides group by all
),

lines as materialized (
    {%- for side, contra in [('debit', 'credit'), ('credit', 'debit')] %}
    select
        * exclude (debit, debit_detail, credit, credit_detail, amount),
        {{ side }} as account, {{ side }}_detail as account_detail,
        {{ contra }} as contra_account, {{ contra }}_detail as contra_detail,
        amount as {{ side }}, 0 as {{ contra }}
    from summed
    {{ 'union all by name' if not loop.last }}
    {%- endfor %}
)

select
    date_trunc('month', lines.posted_on)::date as accounting_month,
    lines.billing_month,
    lines.posted_on,
    lines.entry_id,
    lines.kind,
    lines.account,
    lines.account_detail,
    coalesce(own.number, general.number) as account_number,
    coalesce(own.name, general.name) as account_name,
    lines.contra_account,
    lines.contra_detail,
    coalesce(contra_own.number, contra.number) as contra_number,
    lines.debit::decimal(38, 12) as debit,
    lines.credit::decimal(38, 12) as credit,
    lines.currency,
    lines.customer_id,
    lines.invoice_id,
    lines.document_id,
    coalesce(own.xero_tax_rate, general.xero_tax_rate) as xero_tax_rate
from lines
inner join {{ ref('account_numbers') }} as general
    on lines.account = general.account and general.detail is null
left join {{ ref('account_numbers') }} as own
    on lines.account = own.account and lines.account_detail = own.detail
inner join {{ ref('account_numbers') }} as contra
    on lines.contra_account = contra.account and contra.detail is null
left join {{ ref('account_numbers') }} as contra_own
    on lines.contra_account = contra_own.account and lines.contra_detail = contra_own.detail
