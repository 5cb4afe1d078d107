"""Which version of a month is published, and for which months a run found nothing to do.

What belongs here: counting changes of months and wallets, and noting which of them are published.
What does not: the invoices (``cached_invoices``), whose changes are counted by triggers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from billing_pipeline.collection.stripe_state.reading_progress import ReadingProgress


class CachedMonths:
    """Months are named by their key, ``YYYY-MM-01``."""

    def __init__(self, db: sqlite3.Connection, progress: ReadingProgress) -> None:
        self._db = db
        self._progress = progress

    def version(self, month_key: str) -> int:
        """Grows with every change of the month's invoices."""
        query = "select changed from months where billing_month = ?"
        row = self._db.execute(query, [month_key]).fetchone()
        return 0 if row is None else int(row[0])

    def touch(self, month_keys: Iterable[str], *, in_full: bool = False) -> None:
        """Count months as changed; `in_full`: they have to be listed to tell what is there."""
        self._db.executemany(
            "insert into months (billing_month, changed, is_listing_due) values (?1, 1, ?2) "
            "on conflict (billing_month) do update set changed = changed + 1, "
            "is_listing_due = max(is_listing_due, ?2)",
            [[key, int(in_full)] for key in month_keys],
        )

    def record_published(self, month_key: str, version: int, at: float, *, in_full: bool) -> None:
        """Note that this version of the month is published now, even where a newer one was
        before. `at`: when it was read, epoch seconds; `in_full`: it was read by listing."""
        self._db.execute(
            "insert into months (billing_month, published, published_at) values (?1, ?2, ?3) "
            "on conflict (billing_month) do update set published = ?2, published_at = ?3, "
            "is_listing_due = is_listing_due and not ?4",
            [month_key, version, at, int(in_full)],
        )

    def stale(self, now: float) -> list[tuple[str, int, bool]]:
        """Months whose published rows are out of date: key, version, and whether they have to be
        listed. An invoice that has become overdue makes its month stale too."""
        rows = self._db.execute(
            "select billing_month, changed, is_listing_due from months "
            "where billing_month <> '' and (changed <> published or is_listing_due or exists ("
            "  select 1 from invoices where invoices.billing_month = months.billing_month"
            "  and status_rank = 1 and json_extract(body, '$.due_date') >= published_at"
            "  and json_extract(body, '$.due_date') < ?"
            ")) order by billing_month",
            [now],
        )
        return [(str(key), int(version), bool(listing)) for key, version, listing in rows]

    def record_empty_plan(self, month_key: str, mark: str, at: float) -> None:
        self._db.execute(
            "insert or replace into empty_plans values (?, ?, ?)", [month_key, mark, at]
        )

    def empty_plan(self, month_key: str) -> tuple[str, float] | None:
        """The mark that was noted last, and when."""
        query = "select mark, at from empty_plans where billing_month = ?"
        row: tuple[str, float] | None = self._db.execute(query, [month_key]).fetchone()
        return row

    def touch_wallets(self) -> None:
        """Note that a balance is about to be moved: what is published of wallets is stale then."""
        self._db.execute(
            "insert into state values ('wallets_changed', 1) "
            "on conflict (name) do update set value = value + 1"
        )

    def wallets_version(self, month_key: str) -> int:
        """Grows with every change of the month's invoices, and whenever we move any wallet."""
        return self.version(month_key) + (self._progress.get("wallets_changed") or 0)

    def record_wallets_published(self, month_key: str, version: int) -> None:
        self._progress.put(f"wallets_published {month_key}", version)

    def wallets_are_published(self, month_key: str) -> bool:
        """True while nothing has changed since the month's wallets were published."""
        return self._progress.get(f"wallets_published {month_key}") == self.wallets_version(
            month_key
        )
