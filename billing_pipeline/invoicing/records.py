"""``records/``: what must be backed up, opened together.

What belongs here: which file is which. What does not: what stands in them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from billing_pipeline.damaged_files import damaged_databases
from billing_pipeline.invoicing.journal import Author, Journal
from billing_pipeline.invoicing.mirror import Mirror
from billing_pipeline.invoicing.requests import Desk
from billing_pipeline.invoicing.sealed import Seals
from billing_pipeline.stripe_api.client import StripeGateway


@dataclass(frozen=True)
class Records:
    """The open files. `mirror` is a cache; journal and seals are the evidence."""

    folder: Path
    mirror: Mirror
    journal: Journal
    seals: Seals

    def desk(self, gateway: StripeGateway, author: Author) -> Desk:
        return Desk(gateway, self.mirror, self.journal, self.seals, author, self.locks_dir)

    @property
    def locks_dir(self) -> Path:
        return self.folder / "locks"


MIRROR = "stripe_mirror.db"
DURABILITY = "full"
"""SQLite's `synchronous` for journal and seals. Below full is for simulations whose disk is thrown
away: with it an intent might not survive the power failing right after its request."""


class RecordsError(RuntimeError):
    """``records/`` cannot be used; the message names the file, and says what to do."""


@contextmanager
def open_records(folder: Path) -> Iterator[Records]:
    """Open, and make where missing, everything in ``records/``. Raises `RecordsError`, also for
    what is found out in the block."""
    with told_in_words(folder), ExitStack() as opened:
        folder.mkdir(parents=True, exist_ok=True)
        mirror = Mirror(folder / MIRROR)
        opened.callback(mirror.close)
        journal = Journal(folder / "journal.db", synchronous=DURABILITY)
        opened.callback(journal.close)
        seals = Seals(folder / "billed.db", synchronous=DURABILITY)
        opened.callback(seals.close)
        yield Records(folder, mirror, journal, seals)


@contextmanager
def told_in_words(folder: Path) -> Iterator[None]:
    """Raises `RecordsError` for what SQLite raises in the block."""
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
    if [path.name for path in damaged] == [MIRROR]:
        return f"{files} is damaged ({error}): delete it, it is read from Stripe again"
    return (
        f"{files} is damaged ({error}): put it back from the backup of records/, or move it away; "
        "without it nothing is billed twice, but what it has recorded is lost"
    )
