"""Client-side pacing: stay below Stripe's limits instead of running into them.

What belongs here: the limits for each kind of key, and waiting for a free slot. What does not:
handling a 429 that comes nevertheless (`retries.py`), except that `hold_back` pauses all workers.

Measured: paced at 24 of 25 requests a second for each endpoint, a push makes 23.4 invoices a
second and gets no 429; without pacing it makes 17.4 and gets hundreds of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from billing_pipeline.stripe_api.timing import Clock

HEADROOM = 0.96
"""The share of a published limit that we use; the rest allows for clocks that disagree."""


@dataclass(frozen=True)
class RateLimits:
    """Requests per second; None means unlimited."""

    total: float | None = None
    per_endpoint: float | None = None

    @classmethod
    def for_key(cls, api_key: str | None) -> RateLimits:
        """Stripe's published limits: 100/s live, 25/s in test mode, 25/s for each endpoint."""
        if api_key is None:
            return cls()
        live = api_key.startswith(("sk_live_", "rk_live_"))
        return cls(total=100.0 if live else 25.0, per_endpoint=25.0)


MAX_CATCH_UP = 0.01
"""Seconds of delay that later requests may catch up. Every timer is late by a millisecond or two,
and without this a push would be slower by their sum. It must stay well below the 0.04 seconds that
`HEADROOM` leaves free: otherwise some second could have more requests than the limit, with no
reserve for requests that are held up on their way."""
EARLY_SECONDS = 1e-4
"""A request that is early by less than this goes at once: timers and float sums are inexact."""


class _Lane:
    """One limit: when the next request may go, according to the plan and according to when the
    earlier requests really went."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1.0 / (per_second * HEADROOM)
        self._free_at = float("-inf")
        self._due_at = float("-inf")

    def reserve_slot(self, earliest: float) -> float:
        """Take the next free slot at or after `earliest`; returns its time."""
        slot = max(earliest, self._free_at)
        self._free_at = slot + self._interval
        return slot

    def next_free(self, earliest: float) -> float:
        return max(earliest, self._free_at)

    def missing(self, now: float) -> float:
        """Seconds until the last request was sent long enough ago."""
        return self._due_at - MAX_CATCH_UP - now

    def record_sent(self, now: float) -> None:
        self._due_at = max(self._due_at, now) + self._interval


class RateLimiter:
    """Hands out slots in the order of the calls. One per event loop; not thread-safe."""

    def __init__(self, limits: RateLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._total = _Lane(limits.total) if limits.total else None
        self._endpoints: dict[str, _Lane] = {}
        self._held_until = float("-inf")

    async def wait(self, method: str, path: str) -> None:
        now = self._clock.monotonic()
        slot = max(now, self._held_until)
        lanes = [lane for lane in (self._total, self._lane(method, path)) if lane is not None]
        # The slot must be free in both lanes and is booked in both: otherwise requests waiting for
        # a busy endpoint would use up slots of the total.
        for lane in lanes:
            slot = lane.next_free(slot)
        for lane in lanes:
            lane.reserve_slot(slot)
        if slot > now:
            await self._clock.sleep(slot - now)
        # If the process was not scheduled for a while, many slots have passed: the waiting requests
        # must not all go at once.
        while (early := self._early(lanes)) > EARLY_SECONDS:
            await self._clock.sleep(early)
        for lane in lanes:
            lane.record_sent(self._clock.monotonic())

    def _early(self, lanes: Iterable[_Lane]) -> float:
        now = self._clock.monotonic()
        return max((lane.missing(now) for lane in lanes), default=0.0)

    def pause(self, seconds: float) -> None:
        """Pause all requests for that long, because Stripe answered 429."""
        self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def _lane(self, method: str, path: str) -> _Lane | None:
        if self._limits.per_endpoint is None:
            return None
        name = endpoint_of(method, path)
        if name not in self._endpoints:
            self._endpoints[name] = _Lane(self._limits.per_endpoint)
        return self._endpoints[name]


def endpoint_of(method: str, path: str) -> str:
    """The endpoint as Stripe counts it, such as ``post /v1/invoices/:id/finalize``."""
    # /v1/<resource>/<id>/<what>/<id>: every second segment after the version names an object.
    version, *segments = path.split("?")[0].strip("/").split("/")
    named = [":id" if index % 2 else segment for index, segment in enumerate(segments)]
    return f"{method} /{'/'.join([version, *named])}"
