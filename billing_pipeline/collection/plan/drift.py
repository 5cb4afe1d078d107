"""Drift: what a closed month would be charged today, against what was billed.

What belongs here: the rows of `month_drift`, from a plan for the month as rated again.
What does not: rating it (``defs.drift``), and the plan itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.money import to_major

# The other kinds (reviews, what an interrupted run left over) do not come from changed inputs.
_COMPARED = (
    ActionKind.UNCHANGED,
    ActionKind.CREATE,
    ActionKind.SUPPLEMENT,
    ActionKind.CREDIT,
)
_WORDS = {"price change": "price", "account change": "account"}


def drift_rows(
    plan: InvoicePlan, causes: Mapping[str, Sequence[str]], otherwise: str, seen_at: datetime
) -> list[dict[str, Any]]:
    """A row for each currency in which some customer would be charged another amount; declined
    changes count as no change. `causes`: by invoice; `otherwise`: the cause for invoices whose
    charges show none. Pure."""
    rows = []
    for currency in sorted({action.currency for action in plan.actions}):
        actions = [a for a in plan.actions if a.currency == currency and a.kind in _COMPARED]
        changes = [
            action for action in actions if action.change and action.key not in plan.declined
        ]
        if not changes:
            continue
        billed = sum(action.amount_before for action in actions)
        would_be = billed + sum(action.change for action in changes)
        rows.append(
            {
                "currency": currency,
                "billed": to_major(billed, currency),
                "would_be": to_major(would_be, currency),
                "difference": to_major(would_be - billed, currency),
                "customers": len({action.customer_id for action in changes}),
                "cause": ", ".join(_causes(changes, causes, otherwise)),
                "seen_at": seen_at,
            }
        )
    return rows


def _causes(
    changes: Sequence[InvoiceAction], causes: Mapping[str, Sequence[str]], otherwise: str
) -> list[str]:
    found = {
        _WORDS.get(cause, cause)
        for action in changes
        for text in causes.get(action.invoice_id) or [otherwise]
        for cause in text.split(", ")
    }
    # Where the charges show no cause, the changed files (`otherwise`) say more than "other".
    return sorted(otherwise if cause == "other" else cause for cause in found)
