"""Which runs of Dagster are alive: a killed one is ended in the history, and what it held is freed.

What belongs here: a lock file for each run, held by the process that executes it, and what to do
about runs whose process is gone. What does not: locks around months and Stripe accounts
(``invoicing.lock``).

Dagster leaves a killed run "started", and its place in a pool taken: the next run would wait for
it for ever. A process id could have become another process's; a lock is the kernel's to free.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from billing_pipeline.settings import Settings

_HELD: dict[str, FileLock] = {}


def hold(settings: Settings, run_id: str) -> None:
    """Say that this process executes the run, until it ends or lets go."""
    if run_id not in _HELD:
        lock = _lock(_folder(settings) / f"{run_id}.lock")
        lock.acquire(timeout=0)
        _HELD[run_id] = lock


def let_go(settings: Settings, run_id: str) -> None:
    """Say that the run has ended in this process."""
    lock = _HELD.pop(run_id, None)
    if lock is not None:
        (_folder(settings) / f"{run_id}.lock").unlink(missing_ok=True)
        lock.release()


def bury_dead_runs(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """End every run whose process is gone, and free its places in pools; their ids."""
    buried = []
    for path in sorted(_folder(settings).glob("*.lock")):
        run_id = path.stem
        if run_id in _HELD:
            continue
        lock = _lock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, "The process that executed this run is gone.")
            buried.append(run_id)
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        path.unlink(missing_ok=True)
        lock.release()
    return buried


def _folder(settings: Settings) -> Path:
    folder = settings.dagster_dir / "alive"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _lock(path: Path) -> FileLock:
    # Each on its own: two in one process would otherwise share what only one may hold.
    return FileLock(path, is_singleton=False)
