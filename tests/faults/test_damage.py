"""A share of `python -m tests.faults --damage`: one file of those that everybody reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.closed_once import Closed
from tests.faults.damage import DAMAGES, damaged, files_of


@pytest.mark.slow
def test_a_home_with_a_damaged_publication_says_so_and_goes_on(
    closed_wallet: Closed, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    closed_wallet(home)
    [manifest] = [file for file in files_of(home) if file.name.endswith("manifest.json")]
    outcome = damaged(home, manifest, DAMAGES[-1])
    assert not outcome.problems, str(outcome)
