"""Settings for every test, and fixtures that several folders share.

Shared data is built once for all workers of a test run; each test gets a copy.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.closed_once import Closed, closed_once
from tests.loopback import stay_on_this_machine

stay_on_this_machine()

MEMORY = Path("/dev/shm")
# A whole run leaves about a gigabyte of homes before it ends; a container may have less there.
ROOM = 4 * 2**30


def pytest_configure() -> None:
    """Put temporary homes into memory: they have thousands of small SQLite files, whose creation on
    disk is slow on a busy machine. If there is not enough memory, or if TMPDIR is set, they stay on
    disk."""
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # read anew


# The longest tests take a minute, and several on a machine that is busy. What takes longer hangs.
TIMEOUT_SECONDS = 600


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """A test that hangs fails where it hangs, and the next one begins."""

    def give_up(*_: object) -> None:
        pytest.fail(f"{item.nodeid} hangs: not done after {TIMEOUT_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT_SECONDS)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run that every worker has."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def closed_wallet(of_all_workers: Path) -> Closed:
    return closed_once(of_all_workers / "closed-wallet")
