with
plans as (
    select
        billing_month,
        any_value(plan_hash) as plan_hash,
        count(*) filter (where state = 'failed') as failed,
        count(*) filter (where state = 'waiting') as waiting,
        count(*) filter (where state = 'ready') as ready
    from {{ all_months(source('collection', 'invoice_plan')) }}
    group by billing_month
),

sent as (select distinct billing_month from {{ all_months(source('collection', 'stripe_invoices')) }}),

-- due, and not in Stripe but as a draft: what was voided there is nobody's to send, and neither is
-- what was declined
unsent as (
    select reconciled.billing_month, count(*) as invoices
    from {{ all_months(source('collection', 'reconciliation')) }} as reconciled
    anti join {{ all_months(source('collection', 'stripe_invoices')) }} as held
        on reconciled.invoice_id = held.invoice_id and held.status <> 'draft'
    anti join {{ all_months(source('collection', 'invoice_plan')) }} as declined
        on reconciled.invoice_id = declined.invoice_id and declined.state = 'declined'
    where reconciled.state = 'missing'
    group by reconciled.billing_month
),

known as (
    select billing_month from {{ all_months(ref('usage_files')) }}
    union
    select billing_month from {{ all_months(ref('invoices')) }}
    union
    select billing_month from plans
),

running as (
    select date_trunc('month', timezone(name, current_timestamp))::date as first_day
    from {{ ref('billing_zone') }}
),

named as (
    select
        known.billing_month,
        plans.* exclude (billing_month),
        coalesce(unsent.invoices, 0) as unsent,
        case
            when plans.failed > 0 then 'failed in part'
            when plans.waiting > 0 then 'waits for approval'
            when known.billing_month >= running.first_day then 'running'
            when plans.ready > 0 then 'to be closed'
            when plans.billing_month is null and sent.billing_month is null then 'to be closed'
            when unsent.invoices > 0 then 'half sent'
            else 'closed'
        end as state
    from known
    cross join running
    left join plans on known.billing_month = plans.billing_month
    left join sent on known.billing_month = sent.billing_month
    left join unsent on known.billing_month = unsent.billing_month
)

select
    billing_month,
    state,
    case state
        when 'failed in part' then failed
        when 'waits for approval' then waiting
        when 'to be closed' then coalesce(ready, 0)
        when 'half sent' then unsent
        else 0
    end::bigint as changes,
    plan_hash
from named
