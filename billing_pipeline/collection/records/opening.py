"""Opening ``records/``, the files that must be backed up.

What belongs here: which file is which. What does not: what is in them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from billing_pipeline.collection.records.approvals import Approvals
from billing_pipeline.collection.records.billed import BilledRecords
from billing_pipeline.collection.records.recorded import recorded_marks
from billing_pipeline.collection.records.request_log import RequestLog
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.set_aside import STRIPE_CACHE, DamagedCacheError
from billing_pipeline.runs.sqlite_file import damaged_databases


@dataclass(frozen=True)
class Records:
    """The open files. `cache` can be rebuilt from Stripe; the request log, what was billed and what
    was approved are evidence."""

    folder: Path
    cache: StripeCache
    request_log: RequestLog
    billed: BilledRecords
    approvals: Approvals

    @property
    def locks_dir(self) -> Path:
        return self.folder / "locks"


DURABILITY = "full"
"""SQLite's `synchronous` for all but the cache. Anything less is for simulations whose files are
thrown away: a log entry might then not survive a power failure right after its request."""


class RecordsError(RuntimeError):
    """``records/`` cannot be used; the message names the file, and says what to do."""


@contextmanager
def open_records(folder: Path) -> Iterator[Records]:
    """Open everything in ``records/``, and create what is missing. Raises `RecordsError` for errors
    of SQLite when opening and in the block."""
    with explain_errors(folder), ExitStack() as opened:
        folder.mkdir(parents=True, exist_ok=True)
        billed = BilledRecords(folder / "billed.db", synchronous=DURABILITY)
        opened.callback(billed.close)
        cache = StripeCache(folder / STRIPE_CACHE, partial(recorded_marks, billed))
        opened.callback(cache.close)
        request_log = RequestLog(folder / "journal.db", synchronous=DURABILITY)
        opened.callback(request_log.close)
        approvals = Approvals(folder / "approvals.db", synchronous=DURABILITY)
        opened.callback(approvals.close)
        yield Records(folder, cache, request_log, billed, approvals)


@contextmanager
def explain_errors(folder: Path) -> Iterator[None]:
    """Turn what SQLite raises in the block into a `RecordsError`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise RecordsError(_sentence(folder, error)) from error


def _sentence(folder: Path, error: sqlite3.DatabaseError) -> str:
    damaged = damaged_databases(folder)
    if not damaged:
        return (
            f"the records in {folder} cannot be used: {error}. Make sure that they can be written "
            "and that the disk has room, then run again; nothing is sent twice"
        )
    files = ", ".join(str(path) for path in damaged)
    if [path.name for path in damaged] == [STRIPE_CACHE]:
        return str(DamagedCacheError(damaged[0], error))
    return (
        f"{files} is damaged ({error}): put it back from the backup of records/, or move it away; "
        "without it nothing is billed twice, but what it has recorded is lost"
    )
