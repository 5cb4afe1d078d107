"""Locks between processes: a waiting process names the holder, and nobody waits for a dead one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.runs.locks import RunLocks, Turn
from billing_pipeline.runs.process_locks import HeldError, NamedLock
from billing_pipeline.settings import Settings

MONTH = BillingMonth.parse("2024-01")
HOLD_UNTIL_RELEASED = """
import sys
from pathlib import Path
from billing_pipeline.runs.process_locks import NamedLock
with NamedLock(Path(sys.argv[1]), "it is busy", "close_month, run 7"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock, until it reads a line or is killed."""
    command = [sys.executable, "-c", HOLD_UNTIL_RELEASED, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_busy_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with holder(path) as other, pytest.raises(HeldError) as refused, NamedLock(path, "busy", "we"):
        pass
    message = str(refused.value)
    assert message.startswith(f"busy by close_month, run 7 (process {other.pid}, since ")
    assert message.endswith("UTC): wait until that ends, then run again")


def test_a_waiter_is_informed_at_once_and_gets_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with holder(path) as other:

        def end_the_other(text: str) -> None:
            messages.append(text)
            assert other.stdin is not None
            other.stdin.write(b"\n")
            other.stdin.flush()

        messages: list[str] = []
        with NamedLock(path, "busy", "we", timeout=30, notify=end_the_other):
            assert [f"(process {other.pid}, since" in text for text in messages] == [True]
            with pytest.raises(HeldError, match="busy by we"), NamedLock(path, "busy", "others"):
                pass


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with holder(path) as other:
        other.kill()
        other.wait()
    with NamedLock(path, "busy", "we"):
        pass


@pytest.fixture
def locks(tmp_path: Path) -> Callable[..., RunLocks]:
    """The locks of a run of one home, by the run's id and job."""
    return partial(RunLocks, Settings.from_env({"BILLING_HOME": str(tmp_path)}))


def test_a_month_is_its_runs_until_it_is_released(locks: Callable[..., RunLocks]) -> None:
    first, second = locks("1", "close_month"), locks("2", "preview_month", timeout=0)
    first.hold_month(MONTH)
    first.hold_month(MONTH)
    with pytest.raises(HeldError, match="2024-01 is being worked on by close_month, run 1 "):
        second.month(MONTH).acquire()
    with second.month(MONTH.shift(1)):
        pass
    first.release_month()
    first.release_month()
    with second.month(MONTH), pytest.raises(HeldError, match="by preview_month, run 2 "):
        locks("3", "close_month", timeout=0).hold_month(MONTH)


def test_a_process_that_begins_another_run_has_ended_the_one_before(
    locks: Callable[..., RunLocks],
) -> None:
    """Where nobody says that a run has ended: Dagster's own processes, or several runs in one."""
    locks("1", "estimate_month").hold_month(MONTH)
    locks("2", "close_month", timeout=0).hold_month(MONTH)
    third = locks("3", "close_month", timeout=0)
    third.hold_month(MONTH.shift(1))
    with locks("4", "preview_month", timeout=0).month(MONTH):
        pass
    third.release_month()


def test_one_run_rates_while_another_talks_to_stripe(locks: Callable[..., RunLocks]) -> None:
    with (
        locks("1", "close_month").turn(Turn.RATING),
        locks("2", "pull_payments").turn(Turn.STRIPE),
        pytest.raises(HeldError, match="rated by close_month, run 1 "),
        locks("2", "pull_payments", timeout=0).turn(Turn.RATING),
    ):
        pass
