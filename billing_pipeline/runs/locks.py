"""The locks of a run: its month, its turn to rate, and its turn to talk to Stripe.

What belongs here: these locks, for runs of the command line and of Dagster alike. What does not:
how a lock works (``process_locks``).

They are not Dagster's pools. A slot of a pool is a row in Dagster's history: it outlives a run that
was killed or could not write its history, and a run that waits for one cannot be interrupted.

A run holds its month from before its first step to its end, because rating rebuilds the month's
warehouse and two runs would destroy each other's. Only one month at a time is rated, and only one
talks to Stripe, because they share the memory and the rate limit. These turns are taken step by
step, so one month can be rated while another is sent. A run that waits for a turn already has its
month, so no two runs wait for each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from billing_pipeline.months import BillingMonth
from billing_pipeline.runs.process_locks import NamedLock, Notify, ignore_notice
from billing_pipeline.settings import Settings

# Sending a large month in test mode takes an hour. A waiting run says at once which run it waits
# for, and can be interrupted; after this time it gives up, because the other run must be hanging.
TIMEOUT_SECONDS = 4 * 3600.0


class Turn(Enum):
    """What only one run of this home does at a time; the values are shown while a run waits."""

    RATING = "a month is being rated"
    STRIPE = "Stripe is being asked"


_MONTHS: dict[str, NamedLock] = {}
"""The month of each run of this process, by run id."""


@dataclass(frozen=True)
class RunLocks:
    """The locks of one run. Each raises `HeldError` if another run still holds it after `timeout`
    seconds; `notify` is called once, before the run waits, with a sentence that names the
    holder."""

    settings: Settings
    run_id: str
    job_name: str
    notify: Notify = ignore_notice
    timeout: float = TIMEOUT_SECONDS

    def hold_month(self, month: BillingMonth) -> None:
        """Take the month until it is released or the process ends; does nothing if the run has a
        month already."""
        self.release_ended_runs()
        if self.run_id not in _MONTHS:
            lock = self.month(month)
            lock.acquire()
            _MONTHS[self.run_id] = lock

    def release_month(self) -> None:
        """Release the month of this run."""
        _release(self.run_id)

    def release_ended_runs(self) -> None:
        """Release the months of earlier runs of this process. It executes one run at a time, and
        nothing says when a run that Dagster has launched has ended."""
        for ended in _MONTHS.keys() - {self.run_id}:
            _release(ended)

    def month(self, month: BillingMonth) -> NamedLock:
        """A month for the length of a `with` block, for a run that works on several in turn."""
        return self._lock(str(month), f"{month} is being worked on")

    def turn(self, turn: Turn) -> NamedLock:
        """A turn for the length of a `with` block."""
        return self._lock(turn.name.lower(), turn.value)

    def _lock(self, name: str, what: str) -> NamedLock:
        path = self.settings.home / "locks" / f"{name}.lock"
        who = f"{self.job_name}, run {self.run_id}"
        return NamedLock(path, what, who, self.timeout, self.notify)


def _release(run_id: str) -> None:
    lock = _MONTHS.pop(run_id, None)
    if lock is not None:
        lock.release()
