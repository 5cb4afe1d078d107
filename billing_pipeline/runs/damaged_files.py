"""Finding damaged SQLite files, so that a message can name them.

What belongs here: finding them. What does not: what a file is for and what to do about it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


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
