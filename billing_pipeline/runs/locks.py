"""What a run keeps others from while it goes on: its month, the rating, and asking Stripe.

What belongs here: those locks, for runs of the command line and of Dagster alike. What does not:
Dagster's pools. A slot of a pool is a row in Dagster's history: it outlives a run that was killed,
or whose history could not be written, and who waits for one cannot be interrupted.

The month is the run's from before its first step to its end: rating begins the month's warehouse
anew, and two at once would destroy each other's. One month is rated at a time and one asks Stripe,
because they share the memory and the rate limit: step by step, so that one month can be rated while
another is being sent. Whoever waits for a turn has its month already, so nobody waits in a circle.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from billing_pipeline.months import BillingMonth
from billing_pipeline.runs.process_locks import NamedLock, Tell, say_nothing
from billing_pipeline.settings import Settings

# Sending a large month in test mode takes an hour. Who waits is told for whom at once, and can be
# interrupted; in the end nobody waits for a process that hangs.
TIMEOUT_SECONDS = 4 * 3600.0


class Turn(Enum):
    """What only one run of this home does at a time, and how others are told of it."""

    RATING = "a month is being rated"
    STRIPE = "Stripe is being asked"


_MONTHS: dict[str, NamedLock] = {}


def hold_month(
    settings: Settings,
    month: BillingMonth,
    run_id: str,
    job_name: str,
    notify: Tell = say_nothing,
    timeout: float = TIMEOUT_SECONDS,
) -> None:
    """Keep the month for this run until it is released or the process ends; nothing where the run
    has it already. Raises `HeldError` where another still has it after `timeout` seconds."""
    release_of_ended(run_id)
    if run_id not in _MONTHS:
        lock = month_lock(settings, month, run_id, job_name, notify, timeout)
        lock.acquire()
        _MONTHS[run_id] = lock


def release_of_ended(run_id: str) -> None:
    """Let others have what earlier runs of this process have left: it executes one at a time, and
    nobody says when a run that Dagster has launched is at its end."""
    for ended in _MONTHS.keys() - {run_id}:
        release_month(ended)


def release_month(run_id: str) -> None:
    """Let others have the month of this run."""
    lock = _MONTHS.pop(run_id, None)
    if lock is not None:
        lock.release()


def month_lock(
    settings: Settings,
    month: BillingMonth,
    run_id: str,
    job_name: str,
    notify: Tell = say_nothing,
    timeout: float = TIMEOUT_SECONDS,
) -> NamedLock:
    """The month for the length of a `with` block, for who works on one month after the other."""
    path = _folder(settings) / f"{month}.lock"
    what = f"{month} is being worked on"
    return NamedLock(path, what, _named(job_name, run_id), timeout, notify)


def turn_lock(
    settings: Settings,
    turn: Turn,
    run_id: str,
    job_name: str,
    notify: Tell = say_nothing,
    timeout: float = TIMEOUT_SECONDS,
) -> NamedLock:
    """A turn for the length of a `with` block."""
    path = _folder(settings) / f"{turn.name.lower()}.lock"
    return NamedLock(path, turn.value, _named(job_name, run_id), timeout, notify)


def _folder(settings: Settings) -> Path:
    return settings.home / "locks"


def _named(job_name: str, run_id: str) -> str:
    return f"{job_name}, run {run_id}"
