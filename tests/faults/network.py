"""Between the processes and Stripe: every request passes here, and here the faults strike.

What belongs here: counting requests, letting other work interleave at each of them, the end of a
process, and requests that arrive after their sender is gone. What does not: which faults there
are (`kinds.py`) and when they strike (`schedules.py`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import stripe

from billing_pipeline.stripe_sandbox import Sandbox
from billing_pipeline.stripe_sandbox.wire import Response
from tests.in_process import InProcessClient, Sent
from tests.virtual_clock import VirtualClock


class Killed(BaseException):
    """The process ends here, as by SIGKILL: no handler of the pipeline may catch it."""


def is_killed(error: BaseException) -> bool:
    """True where a process ended by it, also within a group of tasks."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(Killed) is not None
    return isinstance(error, Killed)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at one request.

    `meanwhile` happens before it is sent, `before` answers in Stripe's place or raises, `after`
    does so once Stripe has acted. `for_reads` false: it does nothing new to a request that only
    reads.
    """

    name: str
    meanwhile: Callable[[Line], Awaitable[None]] | None = None
    before: Callable[[Line, Sent], Response | None] | None = None
    after: Callable[[Line, Sent, Response], Response | None] | None = None
    for_reads: bool = True


@dataclass(frozen=True)
class Passed:
    """One request that was made, for the story of a failure."""

    position: int
    process: str
    method: str
    target: str
    fault: str | None

    def __str__(self) -> str:
        struck = f"   <- {self.fault}" if self.fault else ""
        return f"{self.position:5} {self.process:12} {self.method:6} {self.target}{struck}"


@dataclass(frozen=True)
class Schedule:
    """Which fault strikes at which request, counted from 1 over all processes: by all requests,
    or by those that change something."""

    at_request: Mapping[int, Fault] = field(default_factory=dict)
    at_change: Mapping[int, Fault] = field(default_factory=dict)


@dataclass
class Network:
    """All processes' way to one sandbox, and the faults on it."""

    sandbox: Sandbox
    clock: VirtualClock
    rng: random.Random
    schedule: Schedule = field(default_factory=Schedule)
    page_size: int = 100
    requests: int = 0
    changes: int = 0
    passed: list[Passed] = field(default_factory=list)
    others: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """What else may run at the same time, by name; the story fills it in."""
    lose_records: Callable[[], None] = lambda: None
    """Delete ``records/``; the story fills it in."""
    aftermath: list[Callable[[], None]] = field(default_factory=list)
    """What happens between the end of a process and the next run."""
    nights: int = 0
    """How often all machines were put to sleep: no connection survives that."""
    _late: list[tuple[int, Sent]] = field(default_factory=list)

    @property
    def fired(self) -> list[Passed]:
        return [request for request in self.passed if request.fault]

    def send_late(self, sent: Sent) -> None:
        """Let a request reach Stripe when a few others have."""
        self._late.append((self.requests + self.rng.randint(1, 4), sent))

    def deliver_late(self, *, all_of_them: bool = False) -> None:
        due = [item for item in self._late if all_of_them or item[0] <= self.requests]
        self._late = [item for item in self._late if item not in due]
        for _, sent in due:
            self.sandbox.handle(sent.method, sent.target, sent.headers, sent.body)

    def sleep(self, seconds: float) -> None:
        """Put all machines to sleep; what was on its way arrives or breaks."""
        self.deliver_late(all_of_them=True)
        self.nights += 1
        self.clock.advance(seconds)

    async def interleave(self) -> None:
        """Let the other tasks go on; how far is the seed's choice."""
        for _ in range(self.rng.randrange(3)):
            await asyncio.sleep(0)

    async def arrive(self, line: Line, method: str, target: str) -> Fault | None:
        """A request begins; gives what will go wrong with it."""
        self.requests += 1
        position = self.requests
        self.deliver_late()
        fault = self.schedule.at_request.get(position)
        if method != "GET":
            self.changes += 1
            fault = fault or self.schedule.at_change.get(self.changes)
        elif fault is not None and not fault.for_reads:
            fault = None
        name = fault.name if fault else None
        self.passed.append(Passed(position, line.process, method, target, name))
        await self.interleave()
        if fault is not None and fault.meanwhile is not None:
            await fault.meanwhile(line)
        return fault


class Line(InProcessClient):
    """One process's connection to Stripe; dead with the process."""

    def __init__(self, network: Network, process: str) -> None:
        super().__init__(network.sandbox, before=self._before, after=self._after)
        self.network = network
        self.process = process
        self.is_dead = False
        self._fault: Fault | None = None

    def kill(self) -> None:
        self.is_dead = True
        raise Killed(self.process)

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        self._live()
        nights = self.network.nights
        # Small pages, so that every list of a few objects has several.
        url = url.replace("limit=100", f"limit={self.network.page_size}")
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        fault = await self.network.arrive(self, method.upper(), target)
        self._live(nights)
        self._fault = fault
        answer = self.request(method, url, headers, post_data)
        await self.network.interleave()
        self._live(nights)
        return answer

    def _live(self, nights: int | None = None) -> None:
        if self.is_dead:
            raise Killed(self.process)
        if nights not in (None, self.network.nights):
            raise stripe.APIConnectionError("the machine was asleep")

    def _before(self, sent: Sent) -> Response | None:
        act = self._fault.before if self._fault else None
        return act(self, sent) if act else None

    def _after(self, sent: Sent, response: Response) -> Response | None:
        act = self._fault.after if self._fault else None
        return act(self, sent, response) if act else None
