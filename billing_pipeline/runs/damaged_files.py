"""Which of our files are damaged, for the sentence that names them.

What belongs here: looking. What does not: what a file is for and what to do about it, which whoever
reads it knows.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def damaged_databases(folder: Path) -> list[Path]:
    """SQLite's files under `folder` that are none any more."""
    return [path for path in sorted(folder.rglob("*.db")) if is_damaged(path)]


def is_damaged(path: Path) -> bool:
    """Whether SQLite finds fault with its file; one that is in use or cannot be read has none."""
    try:
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            [[found]] = connection.execute("PRAGMA quick_check(1)").fetchall()
            return bool(found != "ok")
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True
