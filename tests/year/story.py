"""The year: each morning what came, what the daemon did, what was approved and said, and `status`.

What belongs here: the order of a day, and the diary. What does not: what must be true at the end
(`judging.py`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
from click.testing import CliRunner

from billing_pipeline.commands.status import status
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import NotPublishedError, open_published
from billing_pipeline.runs.instance import open_instance
from billing_pipeline.settings import Settings
from tests.notice_receiver import Receiver, receiving
from tests.year.acts import ACTS, Stripe
from tests.year.clock import Clock
from tests.year.company import YEAR, Company, moment
from tests.year.daemon import Daemon, Run

FIRST, LAST = date(YEAR, 1, 1), date(YEAR + 1, 1, 25)
DOWN = {date(YEAR, 4, 30), date(YEAR, 5, 1), date(YEAR, 5, 2)}
"""The machine is off, over a month's end."""
_WAITING = """
SELECT DISTINCT strftime(billing_month, '%Y-%m'), plan_hash FROM invoice_plan
WHERE state = 'waiting' AND action <> 'review' AND billing_month < $1::DATE ORDER BY ALL
"""
# Of `status`, what is another every day, or said above already.
_UNINTERESTING = ("published ", "data ", "home ", "Stripe  ", "time zone", "✓ tables")


@dataclass
class Year:
    """`hours`: when the daemon looks on each day; `days`: of the month, all where it is empty.
    `until`: the last day."""

    folder: Path
    hours: tuple[int, ...] = (6, 18)
    until: date = LAST
    days: frozenset[int] = frozenset()
    runs: list[Run] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _shown: set[str] = field(default_factory=set)

    def play(self) -> None:
        self.clock = Clock()
        self.clock.set(moment(FIRST, 0))
        self.company = Company(self.folder / "data")
        with receiving() as self.receiver:
            os.environ |= {
                "BILLING_DATA_DIR": str(self.company.folder),
                "BILLING_HOME": str(self.folder / "home"),
                "BILLING_FIRST_MONTH": f"{FIRST}",
                "BILLING_NOTIFY_URLS": self.receiver.url,
                "COLUMNS": "110",
            }
            self.settings = Settings.from_env()
            self.stripe = Stripe(self.settings)
            with open_instance(self.settings) as instance:
                self._live(instance, self.receiver)

    def _live(self, instance: dg.DagsterInstance, receiver: Receiver) -> None:
        daemon = Daemon(self.settings, instance, moment(FIRST, 0), self.problems)
        for day in _days(FIRST, self.until):
            lines = self.company.morning(day)
            if day in ACTS:
                self.clock.set(moment(day, 1))
                lines.append(ACTS[day](self.stripe))
            if self.days and day.day not in self.days and day != self.until:
                self._say(day, lines)
                continue
            if day in DOWN:
                self._say(day, [*lines, "the machine is off"])
                continue
            for hour in self.hours:
                self.clock.set(moment(day, hour))
                lines += self._look(daemon, receiver)
            self._say(day, [*lines, *self._status()])
            self._age_files()

    def _look(self, daemon: Daemon, receiver: Receiver) -> list[str]:
        self.stripe.send_webhooks()
        already = len(receiver.got)
        runs = []
        for month, plan_hash in self._waiting():
            asked = {"plan_hash": plan_hash, "decided_by": "ada"}
            config = {"ops": {"approved_changes": {"config": asked}}}
            runs.append(daemon.run("apply_plan", month, config))
        with redirect_stdout(io.StringIO()):
            runs += daemon.look(self.clock.now)
        self.runs += runs
        routine = ("collect_payments", "estimate_month", "detect_drift", "verify_billed")
        lines = [f"ran {run}" for run in runs if run.job not in routine or not run.succeeded]
        for message in receiver.got[already:]:
            lines += [f"notice: {message['title']}: {line}" for line in _lines(message["message"])]
        return lines

    def _waiting(self) -> list[tuple[str, str]]:
        running = BillingMonth.containing(self.clock.now, self.settings.timezone)
        try:
            with open_published(self.settings) as published:
                return published.execute(_WAITING, [running.key]).fetchall()
        except NotPublishedError:
            return []

    def _status(self) -> list[str]:
        """What `billing status` says today and did not say yesterday."""
        output = CliRunner().invoke(status, []).output
        lines = [line.rstrip() for line in output.splitlines()]
        kept = [line for line in lines if line and not line.startswith(_UNINTERESTING)]
        new = [line for line in kept if line not in self._shown and any(map(str.isalpha, line))]
        self._shown = set(kept)
        return [f"  | {line}" for line in new]

    def _age_files(self) -> None:
        """Files get the clock's time, so that old versions of tables are deleted as usual."""
        now = datetime.now(UTC).timestamp()
        for place in self.settings.published_dir.glob("*/**/"):
            if place.stat().st_mtime > now:
                os.utime(place, (now, now))

    def _say(self, day: date, lines: list[str]) -> None:
        if lines:
            print("\n".join([f"{day:%a %d %b %Y}", *(f"  {line}" for line in lines)]), flush=True)


def _days(first: date, last: date) -> Iterator[date]:
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("http")]
