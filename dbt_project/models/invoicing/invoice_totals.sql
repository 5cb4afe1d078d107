-- grain: customer × currency × month: an invoice's sums, before the wallet pays of it
with
billed as (select * from {{ ref('billed_customers') }}),
lines as (select * from {{ ref('invoice_lines') }}),

line_sums as (
    select
        invoice_id,
        count(*) as line_count,
        coalesce(sum(amount) filter (where kind = 'tax' and not is_inclusive), 0) as tax,
        coalesce(sum(amount) filter (where kind = 'tax' and is_inclusive), 0) as tax_included,
        coalesce(sum(amount) filter (where kind = 'commitment'), 0) as committed_amount,
        md5(string_agg(
            concat_ws('|', line_id, kind, description, amount, epoch_us(period_start), epoch_us(period_end)),
            chr(10) order by position
        )) as content_hash
    from lines
    group by invoice_id
)

select
    billed.*,
    line_sums.* exclude (invoice_id),
    billed.subtotal - billed.discount + line_sums.tax as total
from billed
inner join line_sums on billed.invoice_id = line_sums.invoice_id
