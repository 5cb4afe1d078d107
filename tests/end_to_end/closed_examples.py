"""The five examples, closed month by month: the published tables and the sandbox's state.

What belongs here: closing them, two at a time, and looking things up by customer and month. What
does not: expectations.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from tests.end_to_end.commands import EXAMPLES, environment
from tests.end_to_end.warm import run_module

Row = dict[str, Any]

MONTHS = {
    # What takes longest first: two run at a time. A month that comes again is a second run.
    "prepaid-wallet": ("2024-01", "2024-02", "2024-01"),
    "subscriptions": ("2024-06", "2024-07"),
    "platform": ("2024-01", "2024-02"),
    "restoration": ("2024-01", "2024-02"),
    "metered-api": ("2026-01",),
}
AT_ONCE = 2


@dataclass(frozen=True)
class ClosedExample:
    """One example after its months were closed. Stripe's objects are as its API shows them."""

    name: str
    home: Path
    runs: tuple[tuple[str, Row], ...]
    """Each run's month, and what the sandbox held right after it."""
    tables: dict[str, list[Row]]

    def expected(self, file: str) -> list[Row]:
        """A table of expected results; empty if the example has no such file."""
        path = EXAMPLES / self.name / file
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as text:
            return list(csv.DictReader(text))

    def rows(self, table: str, customer: str, month: str) -> list[Row]:
        """Published rows of a customer and month (``YYYY-MM``)."""
        return [
            row
            for row in self.tables[table]
            if row["customer_id"] == customer and row["billing_month"] == first_day(month)
        ]

    def after(self, month: str) -> Row:
        """The sandbox's state after the month's first run."""
        return next(held for closed, held in self.runs if closed == month)

    def stripe_invoices(self, customer: str, month: str) -> list[Row]:
        """The sandbox's invoices of a customer and month, after that month's first run."""
        return [
            invoice
            for invoice in self.after(month)["invoices"]
            if invoice["metadata"]["billing_customer_id"] == customer
            and invoice["metadata"]["billing_month"] == f"{month}-01"
        ]

    def stripe_balance(self, customer: str, month: str) -> int:
        """The customer's balance in the sandbox after a month, in cents; below 0 is a credit."""
        (found,) = (
            item
            for item in self.after(month)["customers"]
            if item["metadata"]["billing_customer_id"] == customer
        )
        return int(found["balance"])


def first_day(month: str) -> date:
    return date.fromisoformat(f"{month}-01")


class Closing:
    """Examples, all or those of the `names`, being closed in the background; `of` waits for one."""

    def __init__(self, folder: Path, names: Collection[str] = tuple(MONTHS)) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._closed: dict[str, Future[ClosedExample]] = {
            name: self._pool.submit(_close, name, folder / name) for name in names
        }

    def of(self, name: str) -> ClosedExample:
        return self._closed[name].result()

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _close(name: str, folder: Path) -> ClosedExample:
    home = folder / "home"
    home.mkdir(parents=True)
    done = run_module(
        "tests.end_to_end.close_months",
        [str(folder / "seen"), *MONTHS[name]],
        environment(home, EXAMPLES / name),
    )
    assert done.returncode == 0, f"{name}: {done.stderr}"
    seen = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "seen").iterdir())
    ]
    for month, held in zip(MONTHS[name], seen, strict=True):
        assert held["success"], f"{name} {month}: {held['reason']}"
    runs = tuple(zip(MONTHS[name], seen, strict=True))
    return ClosedExample(name, home, runs, _published(home))


def _published(home: Path) -> dict[str, list[Row]]:
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        published.execute("SET TimeZone = 'UTC'")
        names = [row[0] for row in published.execute("SHOW TABLES").fetchall()]
        tables = {}
        for name in names:
            found = published.execute(f"SELECT * FROM {name}")
            columns = [column[0] for column in found.description]
            tables[name] = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
        return tables
