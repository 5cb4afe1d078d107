"""Which runs of Dagster are alive; a killed run is ended in the history.

What belongs here: a lock file for each run, held by the process that executes it, and what to do
about runs whose process is gone. What does not: the locks between runs (``locks``).

Dagster leaves a killed run "started", and also one that ended while its history could not be
written, on a full disk for example. The queue of the UI's runs would wait for it for ever. Process
ids would not tell, because they are reused, but the kernel frees a lock when its process ends. The
file of a run stays until the history says that the run has ended.
"""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from billing_pipeline.settings import Settings

# A run that Dagster launches is "started" some seconds before its first step holds the file.
FIRST_STEP_SECONDS = 300.0
_BUSY_SECONDS = 10.0
_LOCKS: dict[str, FileLock] = {}


def hold(settings: Settings, run_id: str) -> None:
    """Mark this process as executing the run, until it ends or calls `release`."""
    if run_id in _LOCKS:
        return
    path = _folder(settings) / f"{run_id}.lock"
    lock = _lock(path)
    lock.acquire(timeout=_BUSY_SECONDS)
    # A search for dead runs may have deleted the file in between.
    while not path.exists():
        lock.release()
        lock.acquire(timeout=_BUSY_SECONDS)
    _LOCKS[run_id] = lock


def release(run_id: str) -> None:
    """Mark the run as no longer executed by this process."""
    lock = _LOCKS.pop(run_id, None)
    if lock is not None:
        lock.release()


def reap_dead_runs(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """Mark every run whose process is gone as failed. Returns their ids."""
    ended = []
    for path in sorted(_folder(settings).glob("*.lock")):
        run_id = path.stem
        if run_id in _LOCKS:
            continue
        lock = _lock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            _end(instance, run)
            ended.append(run_id)
        path.unlink(missing_ok=True)
        lock.release()
    return ended + _end_lost_runs(settings, instance)


def _end_lost_runs(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """Mark started runs without a file as failed: the file was deleted, or an older history was
    restored."""
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    ended = []
    for record in instance.get_run_records(started):
        run = record.dagster_run
        is_young = time.time() - (record.start_time or 0.0) < FIRST_STEP_SECONDS
        if not is_young and not (_folder(settings) / f"{run.run_id}.lock").exists():
            _end(instance, run)
            ended.append(run.run_id)
    return ended


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(run, "The process that executed this run is gone.")


def _folder(settings: Settings) -> Path:
    folder = settings.dagster_dir / "alive"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _lock(path: Path) -> FileLock:
    # No singleton: two locks in one process would otherwise share what only one may hold.
    return FileLock(path, is_singleton=False)
