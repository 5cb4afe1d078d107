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
        return Desk(gateway, self.mirror, self.journal, self.seals, author)

    @property
    def locks_dir(self) -> Path:
        return self.folder / "locks"


@contextmanager
def open_records(folder: Path, *, synchronous: str = "full") -> Iterator[Records]:
    """Open, and make where missing, everything in ``records/``.

    `synchronous` below full is for simulations on a disk that is thrown away.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mirror = Mirror(folder / "stripe_mirror.db")
    journal = Journal(folder / "journal.db", synchronous=synchronous)
    seals = Seals(folder / "billed.db", synchronous=synchronous)
    try:
        yield Records(folder, mirror, journal, seals)
    finally:
        for part in (mirror, journal, seals):
            part.close()
