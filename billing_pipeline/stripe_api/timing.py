"""An injectable clock: the system's, or one that a test moves.

What belongs here: the clock for pacing, retries and the push. What does not: calendars
(`billing_pipeline.months`), and decisions that depend on the time.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """A source of time, in seconds."""

    def now(self) -> float:
        """Seconds since 1970, by the wall clock."""

    def monotonic(self) -> float:
        """Seconds from some origin; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait for that long."""


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """A clock that moves only when somebody sleeps or advances it, so simulations take no time."""

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("time does not go back")
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        # Let the other tasks run, in the order in which they wait, so that a seed always gives
        # the same interleaving.
        self.advance(max(0.0, seconds))
        await asyncio.sleep(0)
