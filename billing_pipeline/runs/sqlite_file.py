"""A SQLite file of ours: opened, made where it is new or older, and written in transactions.

What belongs here: that. What does not: which tables it has, and what stands in them.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SYNCHRONOUS = ("full", "normal", "off")
"""Whether a write is on the disk before the next statement; what SQLite calls `synchronous`."""


def open_file(
    path: Path | str,
    schema: str,
    *,
    synchronous: str,
    make: Callable[[sqlite3.Connection], object] | None = None,
    is_shared_by_threads: bool = False,
) -> sqlite3.Connection:
    """A connection that commits each statement, to a file that has this schema.

    `make` brings a file to the schema, an empty one and one of any earlier release, and changes
    nothing of one that has it; by default it executes the schema, which then says `if not exists`.
    It is called only where it has to be: the file says by which schema it was made, and how often
    its own had been changed by then, so that a trigger that somebody drops comes back.
    """
    if synchronous not in SYNCHRONOUS:
        raise ValueError(f"synchronous is full, normal or off, not {synchronous!r}")
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(
        path, timeout=30, isolation_level=None, check_same_thread=not is_shared_by_threads
    )
    db.execute(f"pragma synchronous = {synchronous}")
    if _number(db, "user_version") != _mark(db, schema):
        db.execute("pragma journal_mode = wal")  # stays with the file
        if make is None:
            db.executescript(schema)
        else:
            make(db)
        db.execute(f"pragma user_version = {_mark(db, schema)}")
    return db


def _mark(db: sqlite3.Connection, schema: str) -> int:
    changes = _number(db, "schema_version")
    return zlib.crc32(f"{changes} {schema}".encode()) >> 1  # a signed number of 32 bits


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"pragma {pragma}").fetchone()[0])


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that the block writes, or nothing of it."""
    db.execute("begin immediate")
    try:
        yield
    except BaseException:
        db.execute("rollback")
        raise
    db.execute("commit")
