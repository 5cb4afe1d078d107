"""One holder per month and Stripe account at a time.

What belongs here: the lock and saying who holds it. What does not: Dagster's pools, which are no
lock: the same partition can be launched twice, and a killed run may keep its slot.

The lock is the kernel's (`flock`): it ends with the process that holds it, however that ends.
The file beside it only tells a person who has it; what it says is never believed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from billing_pipeline.stripe_api.timing import Clock


class MonthLockedError(RuntimeError):
    """Another run holds the month; the message says who."""


@asynccontextmanager
async def month_lock(
    folder: Path,
    *,
    account_id: str,
    month_key: str,
    run_id: str,
    clock: Clock,
    patience: float = 0.0,
    poll: float = 1.0,
) -> AsyncIterator[None]:
    """Hold the month while the block runs; waits up to `patience` seconds for another holder.

    Raises `MonthLockedError`. `folder` is made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{account_id}-{month_key}")
    lock = FileLock(folder / f"{name}.lock", thread_local=False)
    sidecar = folder / f"{name}.json"
    deadline = clock.monotonic() + patience
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            if clock.monotonic() >= deadline:
                raise MonthLockedError(_who(sidecar, month_key)) from None
            await clock.sleep(poll)
    try:
        sidecar.write_text(
            json.dumps({"pid": os.getpid(), "run_id": run_id, "since": clock.now()}),
            encoding="utf-8",
        )
        yield
    finally:
        sidecar.unlink(missing_ok=True)
        lock.release()


def _who(sidecar: Path, month_key: str) -> str:
    try:
        holder = json.loads(sidecar.read_text(encoding="utf-8"))
        who = f"run {holder['run_id']} (process {holder['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another run"
    return f"{month_key} is being billed by {who}: wait until it ends, then run again"
