"""After any failure the next command works, or says at once which run it waits for."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from tests.end_to_end import full_disk
from tests.end_to_end.commands import EXAMPLES, billing, environment, last_line, module_of
from tests.end_to_end.warm import end_of, start

DATA = EXAMPLES / "prepaid-wallet"
MONTH = "2024-01"
# In the middle of the rating: Dagster calls the run started, and would keep what it held.
EVENT_OF_RATING = "150"


@pytest.mark.slow
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

    # Of a run that fails, no plan is shown that an earlier one has published.
    without_data = billing(tmp_path, tmp_path / "nothing", "run", MONTH, "--json")
    assert without_data.returncode == 1
    result = json.loads(without_data.stdout)
    assert "customers.csv" in result["reason"] and result["plan"] == result["payments"] == []


class Closed(NamedTuple):
    """A home with a closed month; a plan was requested while the month was being closed."""

    home: Path
    process: int
    planned: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Closed:
    home = tmp_path_factory.mktemp("closed")
    command, output = ["run", MONTH], Path(os.devnull)
    first = start(module_of(command), command, environment(home, DATA), output, output)
    while first.is_alive() and not (home / "locks" / f"{MONTH}.json").exists():
        time.sleep(0.05)
    planned = billing(home, DATA, "plan", MONTH)
    assert end_of(first) == 0
    assert first.pid is not None
    return Closed(home, first.pid, planned)


@pytest.mark.slow
def test_a_second_command_names_the_run_it_waits_for(closed: Closed) -> None:
    message = closed.planned.stderr
    assert closed.planned.returncode == 0, message
    assert f"{MONTH} is being worked on by close_month, run " in message
    assert f"(process {closed.process}, since " in message
    assert "unchanged" in closed.planned.stdout


@contextmanager
def read_only(home: Path) -> Iterator[None]:
    """The home as one that this user may only read; root needs a mount for that."""
    if os.geteuid() != 0:
        subprocess.run(["chmod", "-R", "a-w", home], check=True)
        try:
            yield
        finally:
            subprocess.run(["chmod", "-R", "u+w", home], check=True)
        return
    mounted = subprocess.run(["mount", "--bind", home, home], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("root may not mount here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", home], check=True)
        yield
    finally:
        subprocess.run(["umount", home], check=True)


@pytest.mark.slow
def test_reading_commands_work_in_a_read_only_home(closed: Closed) -> None:
    home = closed.home
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        [[line_id]] = published.execute("SELECT min(line_id) FROM invoice_lines").fetchall()
    with read_only(home):
        status = billing(home, DATA, "status")
        history = billing(home, DATA, "runs")
        explained = billing(home, DATA, "explain", line_id)
        refused = billing(home, DATA, "run", MONTH)
    assert status.returncode == 0, status.stderr
    assert MONTH in status.stdout
    assert history.returncode == 1 and "cannot be" in last_line(history), history.stderr
    assert "sqlalche" not in history.stdout + history.stderr
    assert explained.returncode == 0, explained.stderr
    assert refused.returncode == 1 and "cannot be written" in last_line(refused)


@pytest.mark.slow
def test_a_damaged_history_is_named_and_can_be_deleted(closed: Closed) -> None:
    home = closed.home
    damaged = home / "dagster" / "history" / "runs.db"
    damaged.write_bytes(b"no database" * 1000)
    failed = billing(home, DATA, "plan", MONTH)
    assert failed.returncode == 1
    assert str(damaged) in last_line(failed) and "Delete what is damaged" in last_line(failed)
    damaged.unlink()
    again = billing(home, DATA, "plan", MONTH)
    assert again.returncode == 0, again.stderr
