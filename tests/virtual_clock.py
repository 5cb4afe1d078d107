"""A clock for `billing_pipeline.stripe_api.timing.Clock` that simulations move.

What belongs here: that clock. What does not: decisions that depend on the time.
"""

from __future__ import annotations

import asyncio


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
