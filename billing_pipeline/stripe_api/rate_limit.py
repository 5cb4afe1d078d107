"""Client-side pacing: stay under Stripe's limits rather than run into them.

What belongs here: the limits for a kind of key, and waiting for a free slot. What does not:
what to do about a 429 that comes nevertheless (`retries.py`), except that `hold_back` lets every
worker pause for it.

Measured: paced at 24 of 25 requests a second per endpoint, a push makes 23.4 invoices a second
with no 429; unpaced 17.4 with hundreds of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from billing_pipeline.stripe_api.timing import Clock

HEADROOM = 0.96
"""The share of a published limit that is used; the rest is for clocks that do not agree."""


@dataclass(frozen=True)
class RateLimits:
    """Requests a second; None: unlimited."""

    total: float | None = None
    per_endpoint: float | None = None

    @classmethod
    def for_key(cls, api_key: str | None) -> RateLimits:
        """Stripe's published limits: 100/s live, 25/s in test mode, 25/s for each endpoint."""
        if api_key is None:
            return cls()
        live = api_key.startswith(("sk_live_", "rk_live_"))
        return cls(total=100.0 if live else 25.0, per_endpoint=25.0)


MADE_UP_FOR = 0.01
"""Seconds of lateness that the next requests make up for. Timers are late by a millisecond or two,
each time: without this a push would be slower by the sum of them. It must stay well below what
`HEADROOM` leaves of a second, 0.04: only so no second has more requests than the limit, and what
it leaves is for those that are held up on their way."""
EARLY_SECONDS = 1e-4
"""A request that is earlier by less goes at once: timers and sums of floats are not exact."""


class _Lane:
    """One limit: the instant from which the next request may go, as planned, and as follows from
    when the others really went."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1.0 / (per_second * HEADROOM)
        self._free_at = float("-inf")
        self._due_at = float("-inf")

    def book(self, earliest: float) -> float:
        """Take the next free slot at or after `earliest`; gives its instant."""
        slot = max(earliest, self._free_at)
        self._free_at = slot + self._interval
        return slot

    def next_free(self, earliest: float) -> float:
        return max(earliest, self._free_at)

    def missing(self, now: float) -> float:
        """Seconds until the requests that really went are far enough away."""
        return self._due_at - MADE_UP_FOR - now

    def note_sent(self, now: float) -> None:
        self._due_at = max(self._due_at, now) + self._interval


class RateLimiter:
    """Hands out slots in the order of asking. One per event loop; not for threads."""

    def __init__(self, limits: RateLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._total = _Lane(limits.total) if limits.total else None
        self._endpoints: dict[str, _Lane] = {}
        self._held_until = float("-inf")

    async def wait(self, method: str, path: str) -> None:
        """Return when this request may be sent."""
        now = self._clock.monotonic()
        slot = max(now, self._held_until)
        lanes = [lane for lane in (self._total, self._lane(method, path)) if lane is not None]
        # The slot must be free in both lanes, and is booked in both: otherwise a crowded
        # endpoint would use up the total's slots while it waits.
        for lane in lanes:
            slot = lane.next_free(slot)
        for lane in lanes:
            lane.book(slot)
        if slot > now:
            await self._clock.sleep(slot - now)
        # A process that got no processor for a while finds many slots passed: those who waited
        # must not leave together.
        while (early := self._early(lanes)) > EARLY_SECONDS:
            await self._clock.sleep(early)
        for lane in lanes:
            lane.note_sent(self._clock.monotonic())

    def _early(self, lanes: Iterable[_Lane]) -> float:
        now = self._clock.monotonic()
        return max((lane.missing(now) for lane in lanes), default=0.0)

    def hold_back(self, seconds: float) -> None:
        """Nobody sends for that long: Stripe said that we are too fast."""
        self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def _lane(self, method: str, path: str) -> _Lane | None:
        if self._limits.per_endpoint is None:
            return None
        name = endpoint_of(method, path)
        if name not in self._endpoints:
            self._endpoints[name] = _Lane(self._limits.per_endpoint)
        return self._endpoints[name]


def endpoint_of(method: str, path: str) -> str:
    """The endpoint as Stripe counts it: ``post /v1/invoices/:id/finalize``."""
    # /v1/<resource>/<id>/<what>/<id>: every second segment after the version names an object.
    version, *segments = path.split("?")[0].strip("/").split("/")
    named = [":id" if index % 2 else segment for index, segment in enumerate(segments)]
    return f"{method} /{'/'.join([version, *named])}"
