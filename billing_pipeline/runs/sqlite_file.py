"""Opening our SQLite files, with the schema brought up to date, writing them in transactions, and
finding those that are damaged.

What belongs here: what all such files have in common. What does not: which tables a file has,
what is in them, and what to do about a damaged one.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

SYNCHRONOUS = ("full", "normal", "off")
"""The values of SQLite's `synchronous`: whether a write is on the disk before the next
statement."""


def open_file(
    path: Path | str,
    schema: str,
    *,
    synchronous: str,
    make: Callable[[sqlite3.Connection], object] | None = None,
    is_shared_by_threads: bool = False,
) -> sqlite3.Connection:
    """A connection that commits each statement, to a file that has this schema.

    `make` brings a file to the schema, whether it is empty or of an earlier release, and changes
    nothing in a file that has it. By default the schema itself is executed, with `if not exists`.
    It is called only when needed: the file's mark (`_mark`) says by which schema it was made and
    how often its tables had been changed by then, so a trigger that somebody drops comes back.
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
    return zlib.crc32(f"{changes} {schema}".encode()) >> 1  # fits a signed 32-bit number


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"pragma {pragma}").fetchone()[0])


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Write all of the block or, where it raises, nothing of it."""
    db.execute("begin immediate")
    try:
        yield
    except BaseException:
        db.execute("rollback")
        raise
    db.execute("commit")


def damaged_databases(folder: Path) -> list[Path]:
    """The files under `folder` that should be SQLite databases and cannot be read as such."""
    return [path for path in sorted(folder.rglob("*.db")) if is_damaged(path)]


def is_damaged(path: Path) -> bool:
    """True if SQLite finds the file damaged; not if it is in use or cannot be opened."""
    try:
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            [[found]] = connection.execute("PRAGMA quick_check(1)").fetchall()
            return bool(found != "ok")
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True
