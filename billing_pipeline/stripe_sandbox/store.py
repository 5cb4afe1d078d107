"""The sandbox's storage: one SQLite file, safe for several processes.

What belongs here: rows, order, counters and transactions. What does not: the meaning of objects.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_TABLES = """
create table if not exists objects (
    kind text not null, id text not null, seq integer not null, created integer not null,
    customer text, parent text, body text not null, primary key (kind, id)) without rowid;
create index if not exists by_time on objects (kind, created, seq);
create index if not exists by_customer on objects (kind, customer, created, seq);
create index if not exists by_parent on objects (kind, parent, created, seq);
create table if not exists counters (name text primary key, value integer not null);
create table if not exists kept (
    key text primary key, at real not null, print text not null, status integer not null,
    body blob not null);
create index if not exists kept_by_age on kept (at);
create table if not exists due (id text primary key, at integer not null);
create index if not exists due_by_time on due (at);
create table if not exists due_by_clock (
    id text primary key, clock text not null, at integer not null);
"""


class Store:
    """Objects by kind and id. Every method but `due` must be called inside a `transaction`."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            ":memory:" if path is None else str(path), check_same_thread=False, isolation_level=None
        )
        self._db.execute("pragma busy_timeout = 30000")
        self._db.execute("pragma journal_mode = wal")
        # In WAL mode this is safe if a process is killed; the sandbox need not survive a power cut.
        self._db.execute("pragma synchronous = normal")
        for statement in _TABLES.split(";"):
            self._db.execute(statement)

        # The counters as this transaction has advanced them; saved when it ends.
        self._counters: dict[str, int] = {}

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[None]:
        """All or nothing. A transaction that only reads never waits."""
        self._db.execute("begin immediate" if write else "begin")
        self._counters = {}
        try:
            yield
            if self._counters:
                self._db.executemany(
                    "insert or replace into counters values (?, ?)", self._counters.items()
                )
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of a transaction that is rolled back on its own if it fails."""
        self._db.execute("savepoint part")
        counters = dict(self._counters)
        try:
            yield
        except BaseException:
            self._counters = counters
            self._db.execute("rollback to part")
            self._db.execute("release part")
            raise
        self._db.execute("release part")

    @property
    def is_new(self) -> bool:
        """True if no counter was ever used here."""
        return self._db.execute("select 1 from counters").fetchone() is None

    def next(self, name: str) -> int:
        """1, 2, 3, …; saved when the transaction ends."""
        if name not in self._counters:
            row = self._db.execute("select value from counters where name = ?", [name]).fetchone()
            self._counters[name] = 0 if row is None else int(row[0])
        self._counters[name] += 1
        return self._counters[name]

    def insert(self, kind: str, body: Json, *, customer: str | None, parent: str | None) -> None:
        self._db.execute(
            "insert into objects values (?, ?, ?, ?, ?, ?, ?)",
            [kind, body["id"], self.next("row"), body["created"], customer, parent, _text(body)],
        )

    def save(self, kind: str, body: Json) -> None:
        self._db.execute(
            "update objects set body = ? where kind = ? and id = ?", [_text(body), kind, body["id"]]
        )

    def move(self, kind: str, object_id: str, parent: str | None) -> None:
        self._db.execute(
            "update objects set parent = ? where kind = ? and id = ?", [parent, kind, object_id]
        )

    def remove(self, kind: str, object_id: str) -> None:
        self._db.execute("delete from objects where kind = ? and id = ?", [kind, object_id])

    def get(self, kind: str, object_id: str) -> Json | None:
        row = self._db.execute(
            "select body from objects where kind = ? and id = ?", [kind, object_id]
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def place(self, kind: str, object_id: str) -> tuple[int, int] | None:
        """The object's position in lists: its creation time and number."""
        row: tuple[int, int] | None = self._db.execute(
            "select created, seq from objects where kind = ? and id = ?", [kind, object_id]
        ).fetchone()
        return row

    def select(
        self, kind: str, where: Sequence[tuple[str, Any]], *, limit: int, oldest_first: bool = False
    ) -> list[Json]:
        """Objects newest first. `where`: SQL conditions with one ``?`` each, and their values."""
        conditions = " and ".join(["kind = ?", *(text for text, _ in where)])
        order = "asc" if oldest_first else "desc"
        rows = self._db.execute(
            f"select body from objects where {conditions} "
            f"order by created {order}, seq {order} limit ?",
            [kind, *(value for _, value in where), limit],
        )
        return [json.loads(row[0]) for row in rows]

    def count(self, kind: str, parent: str) -> tuple[int, int]:
        """The number of objects of a parent, and the sum of their amounts."""
        row = self._db.execute(
            # Without the hint SQLite would scan the whole kind by its primary key.
            "select count(*), coalesce(sum(json_extract(body, '$.amount')), 0) "
            "from objects indexed by by_parent where kind = ? and parent = ?",
            [kind, parent],
        ).fetchone()
        return int(row[0]), int(row[1])

    # Answers under idempotency keys.
    def save_answer(self, key: str, at: float, fingerprint: str, status: int, body: bytes) -> None:
        packed = zlib.compress(body, 1)
        self._db.execute(
            "insert or replace into kept values (?, ?, ?, ?, ?)",
            [key, at, fingerprint, status, packed],
        )

    def saved_answer(self, key: str, oldest: float) -> tuple[str, int, bytes] | None:
        row = self._db.execute(
            "select print, status, body from kept where key = ? and at > ?", [key, oldest]
        ).fetchone()
        return None if row is None else (row[0], row[1], zlib.decompress(row[2]))

    def delete_answers(self, oldest: float) -> None:
        self._db.execute("delete from kept where at <= ?", [oldest])

    # Events that happen by themselves at some time.
    def set_due(self, object_id: str, at: int | None, clock: str | None = None) -> None:
        """Schedule the object at `at`, the account's time or that of a test clock."""
        for table in ("due", "due_by_clock"):
            self._db.execute(f"delete from {table} where id = ?", [object_id])
        if at is not None and clock is None:
            self._db.execute("insert into due values (?, ?)", [object_id, at])
        elif at is not None:
            self._db.execute("insert into due_by_clock values (?, ?, ?)", [object_id, clock, at])

    def forget_clock(self, clock: str) -> None:
        self._db.execute("delete from due_by_clock where clock = ?", [clock])

    def due(self, now: float, clock: str | None = None) -> list[tuple[str, int]]:
        """The ids that are due by now, and since when, oldest first. Needs no transaction."""
        table = "due" if clock is None else "due_by_clock"
        own = "" if clock is None else " and clock = ?"
        rows = self._db.execute(
            f"select id, at from {table} where at <= ?{own} order by at, id",
            [now, *([] if clock is None else [clock])],
        )
        return [(str(row[0]), int(row[1])) for row in rows]


def _text(body: Json) -> str:
    return json.dumps(body, separators=(",", ":"))
