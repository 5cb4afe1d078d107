-- from charges to the bank, to the cent: what each step adds or, with `less_`, takes off
{%- set steps = [
    'charges', 'less_not_invoiced', 'minimums', 'less_discounts', 'commitments', 'adjustments',
    'taxes', 'invoiced', 'less_wallets', 'put_into_wallets', 'due', 'not_billed', 'billed',
    'less_credited', 'credited_after_payment', 'less_by_balance', 'outstanding', 'paid',
    'less_went_back', 'less_outside_stripe', 'less_from_wallets', 'less_fees', 'in_the_bank'
] %}
with
joined as (
    select
        coalesce(invoiced.billing_month, received.billing_month) as billing_month,
        coalesce(invoiced.currency, received.currency) as currency,
        invoiced.* exclude (billing_month, currency),
        received.* exclude (billing_month, currency),
        coalesce(invoiced.invoiced, 0) - coalesce(received.billed, 0)
        + coalesce(received.less_credited, 0) as not_billed
    from {{ ref('invoiced_money') }} as invoiced
    full outer join {{ ref('received_money') }} as received
        on invoiced.billing_month = received.billing_month and invoiced.currency = received.currency
)

select
    billing_month,
    currency,
    {%- for step in steps %}
    coalesce({{ step }}, 0)::decimal(38, 4) as {{ step }}{{ ',' if not loop.last }}
    {%- endfor %}
from joined
