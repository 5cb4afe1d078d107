"""What must hold after every run that reads Stripe: the cents agree, and the seals are unbroken.

What belongs here: asset checks on each asset that publishes what Stripe holds. What does not: the
invariants of the charges, which are dbt's tests.
"""

from typing import Any

import dagster as dg

from billing_pipeline.defs.collection import approved_changes, invoice_payments, stripe_invoices
from billing_pipeline.defs.figures import markdown_table
from billing_pipeline.defs.partitions import MONTHS, SETTINGS
from billing_pipeline.invoicing import collection
from billing_pipeline.invoicing.plan import ActionKind
from billing_pipeline.months import BillingMonth
from billing_pipeline.warehouse import open_published

MOST_SHOWN = 50
# What waits for an approval is a difference that is known; all others nobody has explained.
_KNOWN = tuple(
    kind.value for kind in ActionKind if kind not in (ActionKind.UNCHANGED, ActionKind.REVIEW)
)
_DIFFERENCES = """
SELECT r.invoice_id, r.customer_id, r.currency, r.expected_total, r.stripe_total, r.difference,
    r.state, coalesce(p.action, 'unexplained') AS known_as
FROM reconciliation AS r
LEFT JOIN invoice_plan AS p ON p.billing_month = r.billing_month AND p.invoice_id = r.invoice_id
    AND p.state <> 'done' AND list_contains(?, p.action)
WHERE r.billing_month = ?::DATE AND r.difference <> 0
ORDER BY known_as = 'unexplained' DESC, r.invoice_id
"""


def _agree(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    with open_published(SETTINGS) as published:
        rows = published.execute(_DIFFERENCES, [list(_KNOWN), context.partition_key]).fetchall()
    unexplained = sum(row[-1] == "unexplained" for row in rows)
    description = "Stripe's invoices are ours, to the cent."
    if rows:
        waiting = len(rows) - unexplained
        description = f"{unexplained} invoices differ from ours, and nobody has planned that"
        description += f"; {waiting} differ and wait for a run or an approval." if waiting else "."
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR if unexplained else dg.AssetCheckSeverity.WARN,
        description=description,
        metadata=_table(
            (
                *("invoice", "customer", "currency", "ours", "Stripe's", "difference"),
                *("state", "planned as"),
            ),
            rows,
        ),
    )


def _hold(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    problems = collection.verify_seals(SETTINGS, BillingMonth.parse(context.partition_key))
    rows = [(problem.month_key[:7], problem.subject, problem.problem) for problem in problems]
    return dg.AssetCheckResult(
        passed=not rows,
        description=f"{len(rows)} seals of what was billed do not hold."
        if rows
        else "What was billed is as it was sealed: the chains of all months are unbroken.",
        metadata=_table(("month", "invoice or credit note", "problem"), rows),
    )


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    if not rows:
        return {"rows": 0}
    table = markdown_table(header, rows[:MOST_SHOWN])
    return {"rows": len(rows), "which": dg.MetadataValue.md(table)}


def _checks_of(asset: dg.AssetsDefinition) -> list[dg.AssetChecksDefinition]:
    agree = dg.asset_check(
        asset=asset,
        name="stripe_agrees_to_the_cent",
        description="Fails where Stripe's total of an invoice, less its credit notes, is not ours.",
        partitions_def=MONTHS,
    )(_agree)
    hold = dg.asset_check(
        asset=asset,
        name="sealed_months_hold",
        description="Recomputes the hash chains of what was billed, of all months, and compares "
        "this month's seals with what Stripe holds. Fails the run.",
        partitions_def=MONTHS,
        # Nothing legitimate breaks a seal: whoever runs the month has to hear of it.
        blocking=True,
    )(_hold)
    return [agree, hold]


CHECKS = [
    check
    for asset in (stripe_invoices, approved_changes, invoice_payments)
    for check in _checks_of(asset)
]
