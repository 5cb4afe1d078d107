"""A signal ends the process, whatever it is doing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import signal, sys, time
from billing_pipeline.runs import interruption
from billing_pipeline.__main__ import run
interruption.SHUTDOWN_TIMEOUT_SECONDS = float(sys.argv[2])

def deaf() -> None:
    # As Dagster: it notes the signal for later.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

def main() -> None:
    if sys.argv[1] == "deaf":
        deaf()
    print("begun", flush=True)
    while True:
        time.sleep(60)

run(main)
"""
INTERRUPTED = "interrupted: the same command again goes on from here, nothing is sent twice"


def ended(kind: str, seconds: float, *signals: signal.Signals) -> str:
    """The output of a process that gets these signals and must end at once with code 1."""
    command = [sys.executable, "-c", PROGRAM, kind, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        for number in signals:
            process.send_signal(number)
            time.sleep(0.1)  # two of a kind at once would be one
        _, output = process.communicate(timeout=10)
        assert process.returncode == 1
        return output.decode().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(number: signal.Signals) -> None:
    assert ended("listens", 60, number) == INTERRUPTED


def test_a_process_that_ignores_the_signal_is_ended_after_a_while() -> None:
    assert ended("deaf", 0.2, signal.SIGTERM) == INTERRUPTED


def test_a_second_signal_ends_an_unresponsive_process_at_once() -> None:
    assert ended("deaf", 60, signal.SIGINT, signal.SIGTERM) == INTERRUPTED
