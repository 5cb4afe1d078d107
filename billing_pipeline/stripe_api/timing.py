"""The clock, which can be replaced: time in tests and simulations is another one.

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
