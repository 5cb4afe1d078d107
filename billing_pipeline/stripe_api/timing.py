"""Time as something that can be handed in: the system's clock, or one that a test moves.

What belongs here: the clock that pacing, retries and the push read. What does not: calendars
(`billing_pipeline.months`) and anything that decides what to do with the time.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the engine asks of time. All in seconds."""

    def now(self) -> float:
        """Seconds since 1970, as the wall shows it."""

    def monotonic(self) -> float:
        """Seconds from some origin, never running back."""

    async def sleep(self, seconds: float) -> None:
        """Let others work for that long."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """A clock that moves only when someone sleeps or turns it: simulations take no time."""

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Turn the clock forward."""
        if seconds < 0:
            raise ValueError("time does not run back")
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        # The other tasks get their turn, in the order in which they wait, so that a seed
        # gives one interleaving and no other.
        self.advance(max(0.0, seconds))
        await asyncio.sleep(0)
