"""One trial: a company, a schedule of faults, the story, and the verdict.

What belongs here: putting one together from its name, which is all that is needed to play it
again. What does not: how many are played (`__main__.py`, the tests).
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from billing_pipeline.collection.records import opening
from tests.faults.checks import Verdict, judge
from tests.faults.company import SMALL, WALLETS, Company, random_company
from tests.faults.disk import Disk
from tests.faults.kinds import FAULTS
from tests.faults.network import Fault, Passed, Schedule
from tests.faults.story import NotFinishedError, Story

COMPANIES = {"small": SMALL, "wallets": WALLETS}
MEMORY = Path("/dev/shm")
"""A folder in memory where there is one: thousands of short-lived homes are no work for a disk."""


@dataclass
class Trial:
    """How one story ended."""

    name: str
    verdict: Verdict
    passed: list[Passed]
    diary: list[str] = field(default_factory=list)
    crashed_publishing: bool = False

    @property
    def problems(self) -> list[str]:
        return self.verdict.problems

    @property
    def faults(self) -> list[str]:
        found = [request.fault for request in self.passed if request.fault]
        return [*found, "crash-publishing"] if self.crashed_publishing else found

    def report(self) -> str:
        parts = [f"{self.name}: {'FAILED' if self.problems else 'as it should be'}"]
        parts += [f"    {problem}" for problem in self.problems]
        parts += [f"    diary: {entry}" for entry in self.diary]
        return "\n".join(parts)


def play(
    name: str,
    company: Company,
    schedule: Schedule | None = None,
    *,
    seed: int = 0,
    page_size: int = 100,
    disk: Disk | None = None,
    with_books: bool = False,
    list_lag: float = 0.0,
) -> Trial:
    """Tell the story with these faults, and judge it."""
    before, opening.DURABILITY = opening.DURABILITY, "off"
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home:
            story = Story(
                Path(home),
                company,
                schedule or Schedule(),
                seed,
                page_size,
                list_lag=list_lag,
                disk=disk,
            )
            try:
                story.play()
                verdict = asyncio.run(judge(story, with_books=with_books))
            except NotFinishedError as error:
                verdict = Verdict(lost=[str(error)])
            crashed = bool(disk and disk.dies_at and disk.writes >= disk.dies_at)
            return Trial(name, verdict, story.network.passed, story.diary, crashed)
    finally:
        opening.DURABILITY = before


def play_single(company: str, fault: str, change: int, *, list_lag: float = 0.0) -> Trial:
    """One fault at one changing request."""
    schedule = Schedule(at_change={change: FAULTS[fault]})
    name = f"{company}/{fault}/change {change}"
    return play(name, COMPANIES[company], schedule, list_lag=list_lag)


@cache
def changes_of(company: str) -> int:
    """How many requests change something in the story without faults."""
    return sum(request.method != "GET" for request in _undisturbed(company).passed)


def play_every_single(company: str) -> Iterator[Trial]:
    """Every fault at every request of the story, one at a time."""
    for request in _undisturbed(company).passed:
        for fault in FAULTS.values():
            if fault.for_reads or request.method != "GET":
                schedule = Schedule({request.position: fault})
                name = f"{company}/{fault.name}/request {request.position}"
                yield play(name, COMPANIES[company], schedule)
    for write in range(1, writes_of(company) + 1):
        yield play_publishing(company, write)


def play_publishing(company: str, write: int) -> Trial:
    """The process dies at one write of a publication to the disk."""
    name = f"{company}/crash-publishing/write {write}"
    return play(name, COMPANIES[company], disk=Disk(write))


@cache
def writes_of(company: str) -> int:
    """How often the story without faults makes something durable or puts it in place."""
    disk = Disk()
    play(company, COMPANIES[company], disk=disk)
    return disk.writes


def _undisturbed(company: str) -> Trial:
    trial = play(company, COMPANIES[company])
    if trial.problems:
        raise AssertionError(trial.report())
    return trial


def play_random(seed: int, *, with_books: bool = True) -> Trial:
    """A made-up company, and a few faults where chance puts them."""
    rng = random.Random(seed)
    company = random_company(rng)
    page_size = rng.choice((1, 2, 3, 100))
    names = sorted(FAULTS)
    at_request: dict[int, Fault] = {}
    at_change: dict[int, Fault] = {}
    for _ in range(rng.choice((1, 2, 2, 3, 3, 4, 5, 6, 8))):
        fault = FAULTS[rng.choice(names)]
        if rng.random() < 0.5:
            at_request[rng.randrange(1, 45 * company.stages)] = fault
        else:
            at_change[rng.randrange(1, 10 * company.stages)] = fault
    schedule = Schedule(at_request, at_change)
    disk = Disk(rng.randrange(1, 60)) if rng.random() < 0.1 else None
    return play(
        f"seed {seed}",
        company,
        schedule,
        seed=seed,
        page_size=page_size,
        disk=disk,
        with_books=with_books,
    )
