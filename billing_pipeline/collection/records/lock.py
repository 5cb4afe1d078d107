"""Locks: one run at a time per month and Stripe account, and one per customer's wallet.

What belongs here: the locks and saying who holds a month. What does not: Dagster's pools, which
are no lock: the same partition can be launched twice, and a killed run may keep its slot.

The locks are the kernel's (`flock`): they end with the process that holds them, however that ends.
The file beside a month's lock only tells a person who holds it; nothing is decided by it.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from billing_pipeline.stripe_api.timing import Clock

WALLET_LOCKS = 1024
"""The number of lock files for all customers' wallets. Two customers that share one wait for each
other without need, which is rare and does no harm."""

WALLET_TIMEOUT_SECONDS = 300.0


class MonthLockedError(RuntimeError):
    """Another run holds the month; the message says who."""


class WalletLockedError(RuntimeError):
    """Another run, of another month, has been working on a customer's wallet for too long."""


@asynccontextmanager
async def month_lock(
    folder: Path,
    *,
    account_id: str,
    month_key: str,
    run_id: str,
    clock: Clock,
    timeout: float = 0.0,
) -> AsyncIterator[None]:
    """Hold the month while the block runs; waits up to `timeout` seconds for another holder.

    Raises `MonthLockedError`. `folder` is created where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{account_id}-{month_key}")
    lock = FileLock(folder / f"{name}.lock", thread_local=False)
    sidecar = folder / f"{name}.json"
    if not await _acquire(lock, clock, timeout, poll=1.0):
        raise MonthLockedError(_who(sidecar, month_key))
    try:
        sidecar.write_text(
            json.dumps({"pid": os.getpid(), "run_id": run_id, "since": clock.now()}),
            encoding="utf-8",
        )
        yield
    finally:
        sidecar.unlink(missing_ok=True)
        lock.release()


@asynccontextmanager
async def wallet_lock(
    folder: Path, *, stripe_customer_id: str, clock: Clock
) -> AsyncIterator[None]:
    """Let no other run, of whatever month, move this customer's balance in Stripe meanwhile.

    Raises `WalletLockedError` after `WALLET_TIMEOUT_SECONDS`. `folder` is created where it is
    missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = zlib.crc32(stripe_customer_id.encode()) % WALLET_LOCKS
    lock = FileLock(folder / f"wallet-{number:04}.lock", thread_local=False)
    if not await _acquire(lock, clock, WALLET_TIMEOUT_SECONDS, poll=0.1):
        raise WalletLockedError(
            f"another run has been working on the wallet of {stripe_customer_id} for "
            f"{WALLET_TIMEOUT_SECONDS:.0f} s: wait until it ends, then run again"
        )
    try:
        yield
    finally:
        lock.release()


async def _acquire(lock: BaseFileLock, clock: Clock, timeout: float, poll: float) -> bool:
    """Take the lock, waiting for it on the clock; false where it was not free in time."""
    deadline = clock.monotonic() + timeout
    while True:
        try:
            lock.acquire(timeout=0)
            return True
        except Timeout:
            if clock.monotonic() >= deadline:
                return False
        await clock.sleep(poll)


def _who(sidecar: Path, month_key: str) -> str:
    try:
        holder = json.loads(sidecar.read_text(encoding="utf-8"))
        who = f"run {holder['run_id']} (process {holder['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another run"
    return f"{month_key} is being billed by {who}: wait until it ends, then run again"
