"""One trial: a sequence by its seed, and how it ended.

What belongs here: playing one from its seed, which is all that is needed to play it again. What
does not: how many are played (`__main__.py`, the tests).
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from billing_pipeline.collection.records import opening
from tests.changes.company import MONTHS
from tests.changes.rating import Rater, rate
from tests.changes.story import Story
from tests.faults.trials import MEMORY

KINDS = ("double-billed", "stuck", "silent", "wallet", "books")


@dataclass
class Trial:
    """How one sequence ended."""

    seed: int
    problems: list[tuple[str, str]]
    diary: list[str]
    changes: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    locks: bool = False

    def report(self) -> str:
        name = f"seed {self.seed}{' --locks' if self.locks else ''}"
        parts = [f"{name}: {'FAILED' if self.problems else 'as it should be'}"]
        parts += [f"    {kind}: {text}" for kind, text in self.problems]
        return "\n".join(parts)


def play(
    seed: int,
    rater: Rater = rate,
    months: int = len(MONTHS),
    *,
    locks: bool = False,
    with_books: bool = True,
) -> Trial:
    """The sequence of a seed; with fewer `months` only its beginning, brought to an end. With
    `locks` somebody closes the books behind each month."""
    before, opening.DURABILITY = opening.DURABILITY, "off"
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home:
            story = Story(Path(home), seed, rater, months, locks, with_books)
            asyncio.run(story.play())
            return Trial(seed, story.problems, story.diary, story.changes, story.steps, locks)
    finally:
        opening.DURABILITY = before
