"""The state of each billing month, from the published view `month_states` and the usage folders.

What belongs here: the months that only have usage so far, and what to do next in each state. What
does not: the rule that determines a state (the view) and how it is shown (``commands``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import duckdb

from billing_pipeline.duckdb_sql import rows
from billing_pipeline.intake.files.storage import Storage
from billing_pipeline.months import BillingMonth, InvalidMonthError
from billing_pipeline.published.reading import NotPublishedError
from billing_pipeline.settings import Settings


class MonthState(StrEnum):
    """Where a month stands; dbt describes each with the view."""

    FAILED = "failed in part"
    WAITS = "waits for approval"
    DUE = "to be closed"
    HALF_SENT = "half sent"
    RUNNING = "running"
    CLOSED = "closed"


@dataclass(frozen=True)
class MonthOverview:
    """One month. `changes` are the changes of its invoice plan that failed, wait, or were not
    sent."""

    month: BillingMonth
    state: MonthState
    changes: int = 0
    plan_hash: str | None = None

    @property
    def next_command(self) -> str | None:
        """The command that takes the month further."""
        if self.state is MonthState.WAITS:
            return f"billing plan {self.month}"
        if self.state in (MonthState.FAILED, MonthState.DUE, MonthState.HALF_SENT):
            return f"billing run {self.month}"
        return None


def months_with_usage(settings: Settings) -> set[BillingMonth]:
    """The months that have a folder under usage/. Folders that are not named after a month are left
    out (the intake reports them)."""
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
    """Every month that was computed or has usage, the newest first. Raises `NotPublishedError` if
    an earlier release published them, without states."""
    running = BillingMonth.containing(now, settings.timezone)
    found = {
        month: MonthOverview(month, MonthState.RUNNING if month == running else MonthState.DUE)
        for month in with_usage
        if settings.first_month <= month <= running
    }
    if published is not None:
        found |= {month.month: month for month in _published_states(published)}
    return [found[month] for month in sorted(found, reverse=True)]


def _published_states(published: duckdb.DuckDBPyConnection) -> list[MonthOverview]:
    try:
        states = rows(published, "SELECT * FROM month_states")
    except duckdb.CatalogException as error:
        raise NotPublishedError(
            "the months were published by an earlier release: `billing pull MONTH` publishes them "
            "again"
        ) from error
    return [
        MonthOverview(
            BillingMonth(row["billing_month"].year, row["billing_month"].month),
            MonthState(row["state"]),
            row["changes"],
            row["plan_hash"],
        )
        for row in states
    ]
