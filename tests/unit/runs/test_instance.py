"""Several processes may open the history of a new home at the same moment."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

from billing_pipeline.runs.instance import open_instance
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
