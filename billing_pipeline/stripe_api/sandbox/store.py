"""The sandbox's state in one SQLite file: objects, idempotency keys, a counter, a clock's offset.

What belongs here: reading and writing rows, transactions, and ids. What does not: what the objects
mean; to this module a body is JSON with a few fields that lists are filtered by.

Write-ahead logging with ``synchronous=NORMAL``: what was committed survives the death of the
process (kill -9); only a power cut may take the last commits, as a whole and in order. Writers
take the lock at the start (``begin immediate``), so several processes may share the file.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_SCHEMA = """
create table if not exists meta (name text primary key, value integer not null) without rowid;
create table if not exists objects (
    id text primary key, kind text not null, seq integer not null,
    created integer not null, updated integer not null,
    customer text, invoice text, status text, tag text, due_at integer,
    body text not null, indexed text
);
create index if not exists objects_by_time on objects (kind, created, seq);
create index if not exists objects_by_customer on objects (kind, customer, created, seq)
    where customer is not null;
create index if not exists objects_by_invoice on objects (kind, invoice, created, seq)
    where invoice is not null;
create index if not exists objects_due on objects (due_at) where due_at is not null;
create table if not exists answers (
    key text primary key, endpoint text not null, fingerprint blob not null,
    asked_at integer not null, request_id text not null, status integer not null,
    body blob not null
) without rowid;
create index if not exists answers_by_age on answers (asked_at)
"""

SEARCHED = frozenset({"customer", "invoice", "payment_intent", "charge"})
"""Kinds that keep an older copy of themselves, for search to lag behind."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SPACE = 62**14
_STRIDE = 7_520_129_837_461_253_871_393  # shares no factor with 62: no two numbers meet


class Store:
    """One connection. Not for several threads at once; the sandbox locks around it."""

    def __init__(self, path: str) -> None:
        self.path = path
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self.db.execute("pragma busy_timeout = 30000")
        if path != ":memory:":
            self.db.execute("pragma journal_mode = wal")
            self.db.execute("pragma synchronous = normal")
        self._serial: int | None = None
        with self.writing():
            # Not `executescript`, which would end the transaction that keeps processes apart.
            for statement in _SCHEMA.split(";"):
                self.db.execute(statement)
            self.instance = 1 + (self.meta("instances") or 0)
            self.set_meta("instances", self.instance)

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, taken for writing from its start; undone if the block raises."""
        self.db.execute("begin immediate")
        self._serial = None
        try:
            yield
            if self._serial is not None:
                self.set_meta("serial", self._serial)
            self.db.execute("commit")
        except BaseException:
            self.db.execute("rollback")
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One consistent view over several reads; nothing written in it stays."""
        self._serial = None
        self.db.execute("begin")
        try:
            yield
        finally:
            self.db.execute("rollback")

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of a transaction that can be undone by itself."""
        self.db.execute("savepoint attempt")
        try:
            yield
        except BaseException:
            self.db.execute("rollback to attempt")
            self.db.execute("release attempt")
            raise
        self.db.execute("release attempt")

    # Small numbers that outlive the process.
    def meta(self, name: str) -> int | None:
        row = self.db.execute("select value from meta where name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def set_meta(self, name: str, value: int) -> None:
        self.db.execute("insert or replace into meta values (?, ?)", (name, value))

    def clock_and_due(self) -> tuple[int, int | None]:
        """Seconds that the clock was moved by, and the next instant at which something is due."""
        offset, due = self.db.execute(
            "select (select value from meta where name = 'clock_offset'), "
            "(select min(due_at) from objects where due_at is not null)"
        ).fetchone()
        return offset or 0, due

    def serial(self) -> int:
        """The next number, never given twice."""
        if self._serial is None:
            self._serial = self.meta("serial") or 0
        self._serial += 1
        return self._serial

    def new_id(self, prefix: str) -> tuple[str, int]:
        """A new id and its number. Ids are the same in every run, and sort in no order of time,
        as Stripe's."""
        number = self.serial()
        return f"{prefix}_1Sbx{scrambled(number)}", number

    # Objects.
    def insert(self, body: Json, seq: int) -> None:
        self.insert_many([(body, seq)])

    def insert_many(self, rows: Iterable[tuple[Json, int]]) -> None:
        self.db.executemany(
            "insert into objects (id, kind, seq, created, updated, customer, invoice, status, tag,"
            " due_at, body) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (body["id"], body["object"], seq, body["created"], body["created"], *_row(body))
                for body, seq in rows
            ),
        )

    def update(self, body: Json, now: int, *, search_lag: int = 0) -> None:
        """Write an object that is there. Search keeps what it was `search_lag` seconds ago."""
        keep = "case when updated <= ? then body else indexed end"
        if body["object"] not in SEARCHED:
            keep = "case when ? is null then body end"
        self.db.execute(
            f"update objects set indexed = {keep}, updated = ?, customer = ?, invoice = ?,"
            " status = ?, tag = ?, due_at = ?, body = ? where id = ?",
            (now - search_lag, now, *_row(body), body["id"]),
        )

    def delete(self, ids: Sequence[str]) -> None:
        self.db.executemany("delete from objects where id = ?", ((item,) for item in ids))

    def find(self, kind: str, item_id: str) -> Json | None:
        row = self.db.execute(
            "select body from objects where id = ? and kind = ?", (item_id, kind)
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def place(self, kind: str, item_id: str) -> tuple[int, int] | None:
        """Where an object stands in lists: (created, number)."""
        row = self.db.execute(
            "select created, seq from objects where id = ? and kind = ?", (item_id, kind)
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def select(
        self,
        kind: str,
        where: Sequence[tuple[str, Any]] = (),
        *,
        order: str = "created desc, seq desc",
        limit: int = -1,
    ) -> list[Json]:
        """Bodies of a kind. `where` holds conditions of this package's own making and the value
        of their ``?`` (a tuple for several)."""
        conditions = "".join(f" and {condition}" for condition, _ in where)
        values: list[Any] = [kind]
        for _, value in where:
            values.extend(value if isinstance(value, tuple) else (value,))
        rows = self.db.execute(
            f"select body from objects where kind = ?{conditions} order by {order} limit ?",
            [*values, limit],
        ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def sum_of_lines(self, invoice: str) -> tuple[int, int]:
        """How many lines an invoice has and what they add up to."""
        count, total = self.db.execute(
            "select count(*), sum(json_extract(body, '$.amount')) from objects"
            " where kind = 'invoiceitem' and invoice = ?",
            (invoice,),
        ).fetchone()
        return count, total or 0

    def due(self, now: int) -> Json | None:
        """The object that is due first, by `now`."""
        row = self.db.execute(
            "select body from objects where due_at <= ? order by due_at, seq limit 1", (now,)
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def searched(self, kind: str, horizon: int) -> list[Json]:
        """All objects of a kind as they were at `horizon` or some time before."""
        rows = self.db.execute(
            "select case when updated <= ? then body else indexed end from objects"
            " where kind = ? and created <= ? order by created desc, seq desc",
            (horizon, kind, horizon),
        ).fetchall()
        return [json.loads(row[0]) for row in rows if row[0] is not None]

    # Kept answers.
    def answer(self, key: str) -> tuple[str, bytes, int, str, int, bytes] | None:
        """Endpoint, fingerprint, when asked, request id, status, body."""
        row = self.db.execute(
            "select endpoint, fingerprint, asked_at, request_id, status, body from answers"
            " where key = ?",
            (key,),
        ).fetchone()
        return None if row is None else (*row[:5], zlib.decompress(row[5]))

    def keep_answer(
        self,
        key: str,
        endpoint: str,
        fingerprint: bytes,
        asked_at: int,
        request_id: str,
        status: int,
        body: bytes,
    ) -> None:
        # An invoice's answer is some 10 KiB of text that hardly differs from the next one's.
        packed = zlib.compress(body, 1)
        self.db.execute(
            "insert or replace into answers values (?, ?, ?, ?, ?, ?, ?)",
            (key, endpoint, fingerprint, asked_at, request_id, status, packed),
        )

    def forget_answers(self, before: int) -> None:
        self.db.execute("delete from answers where asked_at <= ?", (before,))

    def forget_events(self, before: int) -> None:
        self.db.execute("delete from objects where kind = 'event' and created < ?", (before,))


def _row(body: Json) -> tuple[Any, ...]:
    """What lists filter by, and the body itself."""
    tag = body.get("type") if body["object"] == "event" else body.get("email")
    return (
        body.get("customer"),
        body.get("invoice"),
        body.get("status"),
        tag,
        body.get("_due_at"),
        json.dumps(body, separators=(",", ":")),
    )


def scrambled(number: int) -> str:
    """14 letters and digits, one way for each number."""
    rest = number * _STRIDE % _SPACE
    letters = []
    for _ in range(14):
        rest, digit = divmod(rest, 62)
        letters.append(_ALPHABET[digit])
    return "".join(letters)
