"""The disk under a publication, and the process that dies between two of its writes.

What belongs here: counting what is made durable or put in place, dying at one of them, and
reading what a reader would see. What does not: the story around it (`story.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from billing_pipeline.collection.payments import PullResult
from billing_pipeline.months import BillingMonth
from billing_pipeline.published import views
from billing_pipeline.published.publish import publish_rows
from billing_pipeline.published.reading import NotPublishedError, open_published
from billing_pipeline.settings import Settings
from tests.faults.network import Killed

COLUMNS = {
    "stripe_invoices": ("stripe_invoice_id", "revision", "status", "total", "credited"),
    "invoice_payments": ("invoice_id", "status", "billed", "paid", "credited", "outstanding"),
    "reconciliation": ("invoice_id", "expected_total", "stripe_total", "state"),
}
"""What is compared of each published table."""

Seen = dict[str, list[tuple[str, ...]]]


@dataclass
class Disk:
    """Counts fsyncs and renames; the process dies at the one with the number `dies_at`."""

    dies_at: int = 0
    writes: int = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Do not sync to the real disk, because these homes are thrown away, and do not write the
        views' comments, which take a third of a publication's time: only rows are compared."""
        with (
            mock.patch.object(views, "comments", lambda tables: ""),
            mock.patch.object(os, "fsync", self._counting(lambda handle: None)),
            mock.patch.object(os, "replace", self._counting(os.replace)),
        ):
            yield

    def _counting(self, act: Callable[..., None]) -> Callable[..., None]:
        def counted(*args: Any) -> None:
            self.writes += 1
            if self.writes == self.dies_at:
                raise Killed("publishing")
            act(*args)

        return counted


def publish(settings: Settings, month: BillingMonth, pulled: PullResult) -> None:
    publish_rows(settings, month, rows_of(pulled))


def rows_of(pulled: PullResult) -> dict[str, list[dict[str, Any]]]:
    return {name: getattr(pulled, name) for name in COLUMNS}


def as_seen(tables: dict[str, list[dict[str, Any]]]) -> Seen:
    """Rows as texts, in an order of their own, for comparison."""
    return {
        name: sorted(_texts([row[column] for column in columns]) for row in tables[name])
        for name, columns in COLUMNS.items()
    }


def published(settings: Settings, month: BillingMonth) -> Seen:
    """The rows of a month that a reader sees now; empty tables before the first publication."""
    try:
        connection = open_published(settings)
    except NotPublishedError:
        return {name: [] for name in COLUMNS}
    with connection:
        return {
            name: sorted(
                _texts(row)
                for row in connection.execute(
                    f"select {', '.join(columns)} from {name} where billing_month = ?::date",
                    [month.key],
                ).fetchall()
            )
            for name, columns in COLUMNS.items()
        }


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    # 12.5000 and 12.50 are one amount.
    return tuple(
        f"{value.normalize():f}" if hasattr(value, "normalize") else str(value) for value in values
    )
