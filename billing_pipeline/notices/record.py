"""``records/notices.db``: sent keys by target, and notices that cannot be derived again later.

What belongs here: that file. What does not: which notices are due, and sending them.

A key is written after its delivery has succeeded: if a process dies in between, that message is
sent again, and none is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from billing_pipeline.notices.notice import Kind, Notice
from billing_pipeline.runs.sqlite_file import open_file, transaction

FILE_NAME = "notices.db"
RETENTION_SECONDS = 90 * 86_400
"""How long a noted notice stays available for new targets."""
_SCHEMA = """
create table if not exists targets (target text primary key, since real not null) strict;
create table if not exists sent (
    target text not null, key text not null, sent_at real, primary key (target, key)
) strict;
create table if not exists noted (
    key text primary key, kind text not null, month text not null, text text not null,
    noted_at real not null
) strict;
"""


class NoticeRecord:
    """One SQLite file; safe for several processes."""

    def __init__(self, folder: Path) -> None:
        self._db = open_file(folder / FILE_NAME, _SCHEMA, synchronous="full")

    def close(self) -> None:
        self._db.close()

    def note(self, notice: Notice, now: float) -> None:
        """Save a notice that cannot be derived from the published database; once for each key."""
        self._db.execute(
            "insert or ignore into noted values (?, ?, ?, ?, ?)",
            [notice.key, notice.kind.name, notice.month, notice.text, now],
        )
        self._db.execute("delete from noted where noted_at < ?", [now - RETENTION_SECONDS])

    def noted(self, since: float = 0.0) -> list[Notice]:
        """The notices noted at or after `since`, the oldest first."""
        rows = self._db.execute(
            "select kind, key, month, text from noted where noted_at >= ? order by noted_at",
            [since],
        ).fetchall()
        return [Notice(Kind[kind], key, month, text) for kind, key, month, text in rows]

    def is_known(self, target: str) -> bool:
        found = self._db.execute("select 1 from targets where target = ?", [target])
        return found.fetchone() is not None

    def add_target(self, target: str, old_keys: Iterable[str], now: float) -> None:
        """Add a new target; it will not receive the notices with `old_keys`."""
        with transaction(self._db):
            self._db.execute("insert or ignore into targets values (?, ?)", [target, now])
            self._db.executemany(
                "insert or ignore into sent values (?, ?, null)",
                [[target, key] for key in old_keys],
            )

    def sent_keys(self, target: str) -> set[str]:
        rows = self._db.execute("select key from sent where target = ?", [target])
        return {row[0] for row in rows}

    def record_sent(self, target: str, keys: Iterable[str], now: float) -> None:
        """Record all keys of one message in one transaction."""
        with transaction(self._db):
            self._db.executemany(
                "insert or ignore into sent values (?, ?, ?)", [[target, key, now] for key in keys]
            )
