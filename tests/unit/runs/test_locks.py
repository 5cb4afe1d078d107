"""Locks between processes: a waiting process names the holder, and nobody waits for a dead one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.runs.locks import Turn, hold_month, month_lock, release_month, turn_lock
from billing_pipeline.runs.process_locks import HeldError, NamedLock
from billing_pipeline.settings import Settings

MONTH = BillingMonth.parse("2024-01")
HOLD_UNTIL_TOLD = """
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
    command = [sys.executable, "-c", HOLD_UNTIL_TOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_busy_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with holder(path) as other, pytest.raises(HeldError) as refused, NamedLock(path, "busy", "we"):
        pass
    said = str(refused.value)
    assert said.startswith(f"busy by close_month, run 7 (process {other.pid}, since ")
    assert said.endswith("UTC): wait until that ends, then run again")


def test_a_waiter_is_informed_at_once_and_gets_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with holder(path) as other:

        def end_the_other(text: str) -> None:
            told.append(text)
            assert other.stdin is not None
            other.stdin.write(b"\n")
            other.stdin.flush()

        told: list[str] = []
        with NamedLock(path, "busy", "we", timeout=30, notify=end_the_other):
            assert [f"(process {other.pid}, since" in text for text in told] == [True]
            with pytest.raises(HeldError, match="busy by we"), NamedLock(path, "busy", "others"):
                pass


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with holder(path) as other:
        other.kill()
        other.wait()
    with NamedLock(path, "busy", "we"):
        pass


def test_a_month_is_its_runs_until_it_is_released(tmp_path: Path) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    hold_month(settings, MONTH, "1", "close_month")
    hold_month(settings, MONTH, "1", "close_month")
    other = month_lock(settings, MONTH, "2", "preview_month", timeout=0)
    with pytest.raises(HeldError, match="2024-01 is being worked on by close_month, run 1 "):
        other.acquire()
    with month_lock(settings, MONTH.shift(1), "2", "preview_month", timeout=0):
        pass
    release_month("1")
    release_month("1")
    with other, pytest.raises(HeldError, match="by preview_month, run 2 "):
        hold_month(settings, MONTH, "3", "close_month", timeout=0)


def test_a_process_that_begins_another_run_has_ended_the_one_before(tmp_path: Path) -> None:
    """Where nobody says that a run has ended: Dagster's own processes, or several runs in one."""
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    hold_month(settings, MONTH, "1", "estimate_month")
    hold_month(settings, MONTH, "2", "close_month", timeout=0)
    hold_month(settings, MONTH.shift(1), "3", "close_month", timeout=0)
    with month_lock(settings, MONTH, "4", "preview_month", timeout=0):
        pass
    release_month("3")


def test_one_run_rates_while_another_talks_to_stripe(tmp_path: Path) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    with (
        turn_lock(settings, Turn.RATING, "1", "close_month"),
        turn_lock(settings, Turn.STRIPE, "2", "pull_payments"),
        pytest.raises(HeldError, match="rated by close_month, run 1 "),
        turn_lock(settings, Turn.RATING, "2", "pull_payments", timeout=0),
    ):
        pass
