"""One clock for everything in this process: Python, DuckDB, SQLite, Dagster and the sandbox.

What belongs here: starting the process again under libfaketime, and moving its clock. What does
not: what happens when. The library is preloaded, because DuckDB and SQLite ask the C library for
the time and Python's own stand-ins would not reach them. Waiting is left alone.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

_FILE = "FAKETIME_TIMESTAMP_FILE"


def restart_with_a_clock_of_its_own() -> None:
    """Become the same process with a clock that can be moved, unless it is that already."""
    if _FILE in os.environ:
        return
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None or not sys.platform.startswith("linux"):
        raise SystemExit("this needs Linux, and libfaketime of the development tools: make year")
    library = Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
    file = Path(tempfile.mkdtemp(prefix="year-")) / "offset"
    file.write_text("+0")
    more = {"LD_PRELOAD": str(library), _FILE: str(file), "FAKETIME_NO_CACHE": "1"}
    more |= {"DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "TZ": "UTC"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | more)


class Clock:
    """The process's clock. It goes on by itself; `set` moves it."""

    def __init__(self) -> None:
        self._file = Path(os.environ[_FILE])
        self._offset = 0

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def set(self, when: datetime) -> None:
        self._offset += round(when.timestamp() - time.time())
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._offset:+d}")
        new.replace(self._file)
