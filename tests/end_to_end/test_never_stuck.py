"""After any failure the next command works, or says at once who it waits for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.end_to_end import full_disk
from tests.end_to_end.commands import EXAMPLES, billing, environment, last_line

DATA = EXAMPLES / "prepaid-wallet"
MONTH = "2024-01"
# In the middle of the rating: Dagster calls the run started, and would keep what it held.
EVENT_OF_RATING = "150"


def test_once_the_full_disk_has_room_again_the_next_run_works(tmp_path: Path) -> None:
    full_disk.use_in(tmp_path)
    failed = billing(tmp_path, DATA, "run", MONTH, **{full_disk.VARIABLE: EVENT_OF_RATING})
    assert failed.returncode == 1
    assert last_line(failed) == (
        f"Dagster's history in {tmp_path / 'dagster'} cannot be used: database or disk is full. "
        "Make sure that it can be written and that the disk has room, then run again; nothing is "
        "sent twice"
    )
    again = billing(tmp_path, DATA, "run", MONTH)
    assert again.returncode == 0, again.stderr


def test_of_two_at_once_the_second_says_for_whom_it_waits(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "billing_pipeline.cli", "run", MONTH]
    with subprocess.Popen(
        command, env=environment(tmp_path, DATA), stdout=subprocess.DEVNULL
    ) as first:
        while first.poll() is None and not (tmp_path / "locks" / f"{MONTH}.json").exists():
            pass
        second = billing(tmp_path, DATA, "plan", MONTH)
        assert first.wait() == 0
    assert second.returncode == 0, second.stderr
    waited = f"{MONTH} is being worked on by close_month, run "
    assert waited in second.stderr and f"(process {first.pid}, since " in second.stderr
    assert "unchanged" in second.stdout
