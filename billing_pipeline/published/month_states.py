"""The state of each billing month, as the published tables and the usage folders tell.

What belongs here: the rule that names a state, and what a person does next about it. What does
not: how it is shown (``commands``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.intake.files.storage import Storage
from billing_pipeline.months import BillingMonth, InvalidMonthError
from billing_pipeline.settings import Settings


class MonthState(StrEnum):
    """Where a month stands, from the most urgent to the least."""

    FAILED = "failed in part"
    """The last run could not carry out all that it should."""
    WAITS = "waits for approval"
    DUE = "to be closed"
    """It is over and has usage, and nothing of it was sent."""
    HALF_SENT = "half sent"
    """A run was ended while it sent: the next one sends the rest."""
    RUNNING = "running"
    CLOSED = "closed"


@dataclass(frozen=True)
class MonthOverview:
    """One month: `changes` are those of its invoice plan that failed, wait, or were not sent."""

    month: BillingMonth
    state: MonthState
    changes: int
    plan_hash: str | None

    @property
    def next_command(self) -> str | None:
        """What would bring it further."""
        if self.state is MonthState.WAITS:
            return f"billing plan {self.month}"
        if self.state in (MonthState.FAILED, MonthState.DUE, MonthState.HALF_SENT):
            return f"billing run {self.month}"
        return None


_PLANS = """
SELECT billing_month, any_value(plan_hash) AS plan_hash,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE state = 'waiting') AS waiting,
    count(*) FILTER (WHERE state = 'ready') AS ready
FROM invoice_plan GROUP BY billing_month
"""
# Due, and not in Stripe but as a draft: what was voided there is nobody's to send.
_UNSENT = """
SELECT r.billing_month, count(*) AS unsent FROM reconciliation AS r
WHERE r.state = 'missing' AND NOT EXISTS (
    SELECT 1 FROM stripe_invoices AS s WHERE s.invoice_id = r.invoice_id AND s.status <> 'draft'
)
GROUP BY r.billing_month
"""
_KNOWN = "SELECT DISTINCT billing_month FROM usage_files UNION SELECT billing_month FROM invoices"


def months_with_usage(settings: Settings) -> set[BillingMonth]:
    """The months that have a folder under usage/; folders that are no month are left out (the
    intake reports them)."""
    found = set()
    for entry in Storage.of(settings).entries("usage"):
        try:
            month = BillingMonth.parse(entry.name)
        except InvalidMonthError:
            continue
        if entry.is_folder and str(month) == entry.name:
            found.add(month)
    return found


def month_overviews(
    published: duckdb.DuckDBPyConnection | None,
    settings: Settings,
    with_usage: set[BillingMonth],
    now: datetime,
) -> list[MonthOverview]:
    """Every month that was computed or has usage, the newest first."""
    running = BillingMonth.containing(now, settings.timezone)
    plans: dict[BillingMonth, Row] = {}
    sent: set[BillingMonth] = set()
    unsent: dict[BillingMonth, int] = {}
    known = {month for month in with_usage if settings.first_month <= month <= running}
    if published is not None:
        plans = {_month(row): row for row in rows(published, _PLANS)}
        found = rows(published, "SELECT DISTINCT billing_month FROM stripe_invoices")
        sent = {_month(row) for row in found}
        unsent = {_month(row): row["unsent"] for row in rows(published, _UNSENT)}
        known |= {_month(row) for row in rows(published, _KNOWN)} | plans.keys()
    return [
        _overview(month, plans.get(month), month in sent, unsent.get(month, 0), running)
        for month in sorted(known, reverse=True)
    ]


def _overview(
    month: BillingMonth, plan: Row | None, is_sent: bool, unsent: int, running: BillingMonth
) -> MonthOverview:
    counts = plan or {"failed": 0, "waiting": 0, "ready": 0, "plan_hash": None}
    if counts["failed"]:
        state, changes = MonthState.FAILED, counts["failed"]
    elif counts["waiting"]:
        state, changes = MonthState.WAITS, counts["waiting"]
    elif month >= running:
        state, changes = MonthState.RUNNING, 0
    elif counts["ready"] or (plan is None and not is_sent):
        state, changes = MonthState.DUE, counts["ready"]
    elif unsent:
        state, changes = MonthState.HALF_SENT, unsent
    else:
        state, changes = MonthState.CLOSED, 0
    return MonthOverview(month, state, changes, counts["plan_hash"])


def _month(row: Row) -> BillingMonth:
    return BillingMonth(row["billing_month"].year, row["billing_month"].month)
