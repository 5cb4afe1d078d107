"""Locks between processes that name their holder.

What belongs here: taking such a lock, waiting for it, and the sentence that names its holder. What
does not: what is locked (``locks``).

The locks are the kernel's: they end with the process that holds them, however that ends, so nothing
that a killed run held has to be released. The file beside a lock only shows a person who holds it,
and decides nothing. Waiting is done in Python, where a signal can end it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

Notify = Callable[[str], None]
POLL_SECONDS = 0.2


class HeldError(RuntimeError):
    """Another process held the lock until the timeout; the message names it."""


def ignore_notice(text: str) -> None:
    """A `Notify` for callers that show nothing while they wait."""


@dataclass
class NamedLock:
    """The lock `path`, for the length of a `with` block or from `acquire` to `release`.

    `what` says what the holder is doing ("2024-01 is being closed"), `who` names this process to
    others. Waits for at most `timeout` seconds, then raises `HeldError`; `notify` is called once,
    before the wait, with a sentence that names the holder.
    """

    path: Path
    what: str
    who: str
    timeout: float = 0.0
    notify: Notify = ignore_notice
    _lock: FileLock = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # No singleton: two locks in one process would otherwise share what only one may hold.
        self._lock = FileLock(self.path, is_singleton=False)

    def acquire(self) -> None:
        """Take the lock, waiting for it if need be. Raises `HeldError`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self._wait()
        holder = {"who": self.who, "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
        with suppress(OSError):  # on a full disk, others do not see who holds it
            self._holder_file.write_text(json.dumps(holder), encoding="utf-8")

    def _wait(self) -> None:
        if self.timeout > 0:
            self.notify(f"{self.what} by {self._holder()}: waiting until that ends")
        try:
            self._lock.acquire(timeout=self.timeout, poll_interval=POLL_SECONDS)
        except Timeout:
            raise HeldError(
                f"{self.what} by {self._holder()}: wait until that ends, then run again"
            ) from None

    def release(self) -> None:
        self._holder_file.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    @property
    def _holder_file(self) -> Path:
        return self.path.with_suffix(".json")

    def _holder(self) -> str:
        try:
            holder = json.loads(self._holder_file.read_text(encoding="utf-8"))
            since = datetime.fromisoformat(holder["since"])
            return f"{holder['who']} (process {holder['pid']}, since {since:%Y-%m-%d %H:%M:%S} UTC)"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
