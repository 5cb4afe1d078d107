"""Checks after every run that reads Stripe: amounts agree to the cent, and so do our records.

What belongs here: asset checks on each asset that publishes what Stripe holds. What does not: the
invariants of the charges, which are dbt's tests.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import dagster as dg

from billing_pipeline.collection import payments, prepaid
from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.defs.approvals import approved_changes
from billing_pipeline.defs.asset_metadata import rows_found
from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.defs.payments import invoice_payments
from billing_pipeline.defs.sending import stripe_invoices
from billing_pipeline.defs.verification import verdict
from billing_pipeline.money import format_quantity
from billing_pipeline.months import BillingMonth
from billing_pipeline.notices.spikes import spikes_of
from billing_pipeline.published.health import USAGE_GAPS
from billing_pipeline.published.reading import open_published
from billing_pipeline.rating.month import open_warehouse
from billing_pipeline.settings import Settings

# A difference that waits for approval is explained by the plan; all others are unexplained.
_KNOWN = tuple(
    kind.value for kind in ActionKind if kind not in (ActionKind.UNCHANGED, ActionKind.REVIEW)
)
_NOT_SENT = "not sent yet"
_BALANCE = "balance"
# A run that was cut off has published no plan. What it did not reach is missing in Stripe, or a
# draft there, and the next run sends it; an invoice that was voided in Stripe is no such case.
_DIFFERENCES = f"""
SELECT r.invoice_id, r.customer_id, r.currency, r.expected_total, r.stripe_total, r.difference,
    r.expected_wallet, r.stripe_wallet, r.expected_due, r.charged, r.state,
    CASE
        WHEN p.state = 'declined' THEN p.state
        WHEN list_contains($known, p.action) THEN p.action
        -- a balance may be intended: it is reported, but not as an error
        WHEN r.state = 'charge_differs' THEN '{_BALANCE}'
        WHEN r.state = 'missing' AND p.action IS NULL AND s.invoice_id IS NULL
            THEN '{_NOT_SENT}'
        ELSE 'unexplained'
    END AS known_as
FROM reconciliation AS r
LEFT JOIN invoice_plan AS p ON p.billing_month = r.billing_month AND p.invoice_id = r.invoice_id
    AND p.state <> 'done' AND p.action <> 'unchanged'
LEFT JOIN (
    SELECT DISTINCT invoice_id FROM stripe_invoices WHERE status <> 'draft'
) AS s ON s.invoice_id = r.invoice_id
WHERE r.billing_month = $month::DATE AND r.state NOT IN ('adopted', 'written_off')
    AND (r.difference <> 0 OR r.state IN ('wallet_differs', 'charge_differs'))
ORDER BY known_as = 'unexplained' DESC, r.invoice_id
"""
_SENT = """
SELECT count(*) FILTER (WHERE state <> 'missing'), count(*) FROM reconciliation
WHERE billing_month = $month::DATE AND state <> 'unexpected'
"""
_NOT_CHARGED_ONCE = """
SELECT customer_id, event_name, reason, event_count, first_at::VARCHAR, last_at::VARCHAR
FROM main.unpriced_usage
UNION ALL
SELECT customer_id, meter_id, reason, NULL, NULL, NULL FROM main.usage_issues
WHERE reason = 'charged_by_several_subscriptions'
ORDER BY ALL
"""
_UNSETTLED = """
SELECT customer_id, invoice_id, kind, currency, amount, reason FROM needs_attention
WHERE billing_month = ?::DATE
    AND kind IN (
        'refunded', 'disputed', 'credited_by_hand', 'customer_suspended', 'card_expires'
    )
ORDER BY ALL
"""
_MISSING = """
SELECT subject, kind, reason FROM needs_attention
WHERE billing_month = $1::DATE AND list_contains($2, kind) ORDER BY ALL
"""
_WALLETS = """
SELECT customer_id, currency, wallet_balance, posted_balance, other_credit, stripe_balance,
    difference, problem
FROM wallet_reconciliation WHERE billing_month = ?::DATE AND difference IS DISTINCT FROM 0
ORDER BY customer_id, currency
"""


def invoices_agree(settings: Settings, month: BillingMonth) -> dg.AssetCheckResult:
    """Whether Stripe's invoices of a month agree with ours, including what wallet and customer
    paid."""
    of_month = {"month": month.key}
    with open_published(settings) as published:
        rows = published.execute(_DIFFERENCES, of_month | {"known": list(_KNOWN)}).fetchall()
        [(sent, due)] = published.execute(_SENT, of_month).fetchall()
    return judge_differences(rows, sent, due)


def judge_differences(rows: list[tuple[Any, ...]], sent: int, due: int) -> dg.AssetCheckResult:
    """The result for a month's differences, `sent` of whose `due` invoices are in Stripe. Pure."""
    reasons = Counter(row[-1] for row in rows)
    unexplained, unsent = reasons["unexplained"], reasons[_NOT_SENT]
    by_balance = reasons[_BALANCE]
    declined = reasons["declined"]
    waiting = len(rows) - unexplained - unsent - by_balance - declined
    parts = []
    if unexplained:
        parts.append(f"{unexplained} invoices differ from ours, and no plan explains it")
    if unsent:
        parts.append(f"{sent:,} of {due:,} invoices are sent, run again")
    if by_balance:
        parts.append(f"the customer's balance changed the charge of {by_balance}")
    if waiting:
        parts.append(f"{waiting} differ and wait for a run or an approval")
    if declined:
        parts.append(f"{declined} differ by a change that was declined")
    description = "; ".join(parts) or "Stripe's invoices are ours, to the cent"
    return dg.AssetCheckResult(
        passed=len(rows) == declined,
        severity=dg.AssetCheckSeverity.ERROR if unexplained else dg.AssetCheckSeverity.WARN,
        description=f"{description}.",
        metadata=rows_found(
            (
                *("invoice", "customer", "currency", "ours", "Stripe's", "difference"),
                *("our wallet", "Stripe's", "our due", "charged", "state", "planned as"),
            ),
            rows,
        ),
    )


def _reported_for_all(
    context: dg.AssetCheckExecutionContext, result: dg.AssetCheckResult
) -> dg.AssetCheckResult:
    """The result, also reported for the other assets that read Stripe: each has the same check, and
    what one run finds out about a month holds for all. Otherwise a failed check of a pull would
    stay red after a close has put the month right."""
    [own] = context.selected_asset_check_keys
    for asset in (stripe_invoices, approved_changes, invoice_payments):
        key = dg.AssetCheckKey(asset.key, own.name)
        if key == own or context.instance.get_latest_asset_check_evaluation_record(key) is None:
            continue
        evaluation = dg.AssetCheckEvaluation(
            asset_key=asset.key,
            check_name=own.name,
            passed=bool(result.passed),
            severity=result.severity,
            description=result.description,
            metadata=result.metadata,
            partition=context.partition_key,
        )
        # With this run's id: without one, Dagster accepts only one evaluation for each month.
        context.instance.report_dagster_event(
            dg.DagsterEvent(
                dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
                context.run.job_name,
                event_specific_data=evaluation,
            ),
            run_id=context.run.run_id,
        )
    return result


def billed_as_recorded(settings: Settings, month: BillingMonth) -> dg.AssetCheckResult:
    """Whether the records of what a month was billed are unchanged, and agree with Stripe."""
    problems = payments.verify_billed(settings, month)
    description, metadata = verdict(problems)
    return dg.AssetCheckResult(passed=not problems, description=description, metadata=metadata)


def wallets_agree(settings: Settings, month: BillingMonth) -> dg.AssetCheckResult:
    """Whether the prepaid wallets equal the balances in Stripe, as the month was last read."""
    with open_published(settings) as published:
        rows = published.execute(_WALLETS, [month.key]).fetchall()
    return dg.AssetCheckResult(
        passed=not rows,
        description=f"{len(rows)} wallets differ from the balances in Stripe."
        if rows
        else "The wallets equal the balances in Stripe, to the cent.",
        metadata=rows_found(
            (
                *("customer", "currency", "wallet", "posted", "besides", "Stripe's", "off by"),
                "could not be read",
            ),
            rows,
        ),
    )


@dg.asset_check(
    asset=dg.AssetKey("accounts"),
    name="top_ups_are_credited_once",
    description="Fails if a top-up was paid more than once (one payment has to be refunded), or "
    "by a customer who is not in the accounts.",
    partitions_def=MONTHS,
)
def top_ups_are_credited_once(
    context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    known = prepaid.known_top_ups(settings)
    in_wallets = (
        _in_wallets(settings, BillingMonth.parse(context.partition_key)) if known else set()
    )
    rows = []
    for top_up in known:
        who = (top_up.customer_id, top_up.transaction_id)
        rows += [(*who, payment, "paid again: refund it") for payment in top_up.doubles]
        if top_up.kind == "top_up" and who not in in_wallets:
            rows.append((*who, top_up.payment_intent, "no such customer: not credited"))
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(rows)} payments were not credited to a wallet."
        if rows
        else "Every top-up that was paid in Stripe is in its wallet, once.",
        metadata=rows_found(("customer", "top-up", "payment", "what"), rows),
    )


def _in_wallets(settings: Settings, month: BillingMonth) -> set[tuple[str, str]]:
    """Customer and id of each wallet transaction that the month was rated with."""
    with open_warehouse(settings.warehouse_path(month), read_only=True) as warehouse:
        found = warehouse.execute(
            "SELECT customer_id, transaction_id FROM raw.wallet_transactions"
        ).fetchall()
    return {(str(row[0]), str(row[1])) for row in found}


@dg.asset_check(
    asset=dg.AssetKey("metered_usage"),
    name="usage_is_as_usual",
    description="Warns where a customer used more of a meter than BILLING_SPIKE_FACTOR (3) times "
    "the most of the six months before. Stops nothing.",
    partitions_def=MONTHS,
)
def usage_is_as_usual(
    context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    month = BillingMonth.parse(context.partition_key)
    factor = settings.spike_factor
    rows = [
        (
            spike.customer_id,
            spike.meter_id,
            format_quantity(spike.quantity),
            format_quantity(spike.most_before),
        )
        for spike in spikes_of(settings, month, factor)
    ]
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(rows)} times a customer used more than {factor} times the most of the "
        "months before."
        if rows
        else f"Nobody used more than {factor} times the most of the months before.",
        metadata=rows_found(("customer", "meter", "used", "most before"), rows),
    )


@dg.asset_check(
    asset=dg.AssetKey("unpriced_usage"),
    name="usage_is_charged_once",
    description="Warns about accepted events that no price charges and no limit counts (table "
    "unpriced_usage), and about usage that several subscriptions charge (table usage_issues). "
    "Stops nothing.",
    partitions_def=MONTHS,
)
def usage_is_charged_once(
    context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    month = BillingMonth.parse(context.partition_key)
    with open_warehouse(settings.warehouse_path(month), read_only=True) as warehouse:
        rows = warehouse.execute(_NOT_CHARGED_ONCE).fetchall()
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(rows)} times usage of a customer is charged by nothing, or by several "
        "subscriptions."
        if rows
        else "Every event is charged by one subscription, counted by a limit, or in a trial.",
        metadata=rows_found(("customer", "usage of", "reason", "events", "first", "last"), rows),
    )


def payments_are_settled(settings: Settings, month: BillingMonth) -> dg.AssetCheckResult:
    """Whether no payment of a month went back without a credit note, no credit note was made by
    hand, and no customer of the month is suspended or has a card that expires before the next
    charge."""
    with open_published(settings) as published:
        rows = published.execute(_UNSETTLED, [month.key]).fetchall()
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(rows)} payments went back, were credited by hand or are long overdue, "
        "or cards expire."
        if rows
        else "No payment went back without a credit note, none was credited by hand, no customer "
        "is suspended, and no card expires before the next charge.",
        metadata=rows_found(("customer", "invoice", "what", "currency", "amount", "why"), rows),
    )


def usage_has_come(settings: Settings, month: BillingMonth) -> dg.AssetCheckResult:
    """Whether each expected source has delivered for a month; or, where none is expected, whether
    usage came as in the month before."""
    with open_published(settings) as published:
        rows = published.execute(_MISSING, [month.key, USAGE_GAPS]).fetchall()
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{'; '.join(row[-1] for row in rows)}."
        if rows
        else "The expected usage has arrived.",
        metadata=rows_found(("source", "what", "why"), rows),
    )


def _monthly_check(
    check: Callable[[Settings, BillingMonth], dg.AssetCheckResult],
) -> Callable[..., dg.AssetCheckResult]:
    """The check as Dagster calls it, for the month of its partition."""

    def checked(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.AssetCheckResult:
        month = BillingMonth.parse(context.partition_key)
        return _reported_for_all(context, check(settings, month))

    return checked


def _checks_of(asset: dg.AssetsDefinition) -> list[dg.AssetChecksDefinition]:
    agree = dg.asset_check(
        asset=asset,
        name="stripe_agrees_to_the_cent",
        description="Fails if Stripe's total of an invoice, less its credit notes, is not ours, or "
        "if the wallet or the customer paid another part of it than ours says.",
        partitions_def=MONTHS,
    )(_monthly_check(invoices_agree))
    wallets = dg.asset_check(
        asset=asset,
        name="wallets_agree_to_the_cent",
        description="Fails if a prepaid wallet differs from the customer's balance in Stripe, "
        "less what else that balance holds (table wallet_reconciliation).",
        partitions_def=MONTHS,
    )(_monthly_check(wallets_agree))
    settled = dg.asset_check(
        asset=asset,
        name="payments_are_settled",
        description="Warns about money that went back to a customer without a credit note, about "
        "credit notes that somebody made in Stripe, about suspended customers (table "
        "customer_standing), and about cards that expire before the next charge (table "
        "paying_cards). Stops nothing.",
        partitions_def=MONTHS,
    )(_monthly_check(payments_are_settled))
    has_come = dg.asset_check(
        asset=asset,
        name="usage_has_come",
        description="Warns about an expected source without a file (table usage_sources), or where "
        "none is expected, about a month without usage or with less than a third of the month "
        "before. Stops nothing: it is the close that waits for an expected source.",
        partitions_def=MONTHS,
    )(_monthly_check(usage_has_come))
    recorded = dg.asset_check(
        asset=asset,
        name="billed_as_recorded",
        description="Fails, and the run with it, if a record of what was billed was changed or "
        "removed, or if the content hash in Stripe differs.",
        partitions_def=MONTHS,
        # Nothing legitimate changes a record, so whoever runs the month has to know.
        blocking=True,
    )(_monthly_check(billed_as_recorded))
    return [agree, wallets, settled, has_come, recorded]


CHECKS = [
    top_ups_are_credited_once,
    usage_is_as_usual,
    usage_is_charged_once,
    *_checks_of(stripe_invoices),
    *_checks_of(approved_changes),
    *_checks_of(invoice_payments),
]
