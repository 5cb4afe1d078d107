"""``records/``: what must be backed up, opened together.

What belongs here: which file is which. What does not: what stands in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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


DURABILITY = "full"
"""SQLite's `synchronous` for journal and seals. Below full is for simulations whose disk is thrown
away: with it an intent might not survive the power failing right after its request."""


@contextmanager
def open_records(folder: Path) -> Iterator[Records]:
    """Open, and make where missing, everything in ``records/``."""
    folder.mkdir(parents=True, exist_ok=True)
    mirror = Mirror(folder / "stripe_mirror.db")
    journal = Journal(folder / "journal.db", synchronous=DURABILITY)
    seals = Seals(folder / "billed.db", synchronous=DURABILITY)
    try:
        yield Records(folder, mirror, journal, seals)
    finally:
        for part in (mirror, journal, seals):
            part.close()
