"""What holds for every test, and what tests of several folders share.

What is shared is built once for all workers of a test run, and given out as copies.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.end_to_end.closed_once import Closed, closed_once
from tests.loopback import stay_on_this_machine

stay_on_this_machine()


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run that every worker has."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def closed_wallet(of_all_workers: Path) -> Closed:
    return closed_once(of_all_workers / "closed-wallet")
