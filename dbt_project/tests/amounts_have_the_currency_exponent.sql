{{ config(meta={'dagster': {'ref': {'name': 'invoice_lines'}}}) }}
-- no line is finer than its currency's minor unit
select lines.line_id
from {{ ref('invoice_lines') }} as lines
inner join {{ source('raw', 'currencies') }} as currencies on lines.currency = currencies.currency
where rounded_to_minor(exact(abs(lines.amount)).units, currencies.exponent) <> abs(lines.amount)
