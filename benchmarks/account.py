"""A Stripe account to measure with: the embedded sandbox over HTTP, which counts what it is asked.

What belongs here: counting, and the environment that leads the pipeline there. What does not: any
work that is measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from billing_pipeline.stripe_sandbox import Rates, Sandbox, serving
from billing_pipeline.stripe_sandbox.wire import Response

# No secret: the sandbox takes any. With a key the pipeline keeps to Stripe's limits.
KEY = "sk_test_benchmarks"


@dataclass
class Count:
    """Requests by what they do; what was refused for being too many is counted apart."""

    reads: int = 0
    writes: int = 0
    too_many: int = 0

    @property
    def requests(self) -> int:
        return self.reads + self.writes + self.too_many


class CountingSandbox(Sandbox):
    """The sandbox, and how often it was asked since the last `taken`."""

    def __init__(self, path: Path, rates: Rates | None = None) -> None:
        # Seconds by which its clock was put forward: so that what was done is some time ago.
        self.ahead = 0.0
        self.count = Count()
        super().__init__(path, rates=rates, clock=lambda: time.time() + self.ahead)

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: str) -> Response:
        answer = super().handle(method, target, headers, body)
        if answer.status == 429:
            self.count.too_many += 1
        elif method == "GET":
            self.count.reads += 1
        else:
            self.count.writes += 1
        return answer

    def taken(self) -> Count:
        count, self.count = self.count, Count()
        return count


@contextmanager
def account(home: Path, *, like_stripe: bool = False) -> Iterator[CountingSandbox]:
    """An account for `home`, and the environment that names it; `like_stripe`: answers after
    100 ms and keeps to the limits of test mode, else at once and without limits.

    The pipeline reads its environment once: whatever imports it must come after this.
    """
    sandbox = CountingSandbox(home / "account/stripe.sqlite", Rates() if like_stripe else None)
    try:
        with serving(sandbox, latency=0.1 if like_stripe else 0.0) as base:
            os.environ["STRIPE_API_BASE"] = base
            if like_stripe:
                os.environ["STRIPE_API_KEY"] = KEY
            yield sandbox
    finally:
        sandbox.close()
