"""Several processes may open the history of a new home at the same moment."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from billing_pipeline.runs.history_errors import HistoryError
from billing_pipeline.runs.instance import instance_home, open_instance
from billing_pipeline.settings import Settings

PROCESSES = 6


def open_together(home: Path, start: Barrier) -> None:
    start.wait()
    with open_instance(Settings.from_env({"BILLING_HOME": str(home)})) as instance:
        assert instance.get_runs_count() == 0


def test_processes_that_open_a_new_history_together_all_find_it_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(PROCESSES)
    processes = [
        context.Process(target=open_together, args=(tmp_path, start)) for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES


@pytest.mark.parametrize(
    "content",
    [b"\0damaged\xff", b"run_monitoring: [", b"", b"- a\n", b"concurrency: {runs: {other: 1}}\n"],
)
def test_damaged_settings_are_named_and_recreated(tmp_path: Path, content: bytes) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    config = instance_home(settings) / "dagster.yaml"
    good = config.read_bytes()
    config.write_bytes(content)
    with pytest.raises(HistoryError, match=r"dagster\.yaml is damaged: .* Delete it and run again"):
        open_instance(settings).__enter__()
    config.unlink()
    with open_instance(settings):
        assert config.read_bytes() == good
