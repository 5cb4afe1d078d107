"""The sandbox behind the SDK without a network, for tests.

What belongs here: the SDK's HTTP client that calls `Sandbox.handle`, with hooks that put faults
before or after a request. What does not: any rule of Stripe's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import stripe

from billing_pipeline.stripe_sandbox.engine import Sandbox
from billing_pipeline.stripe_sandbox.wire import Response


@dataclass(frozen=True)
class Sent:
    """A request as the SDK sends it; `target` is the path with its query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str


Before = Callable[[Sent], Response | None]
"""May answer in the sandbox's place, or raise as a broken connection would."""
After = Callable[[Sent, Response], Response | None]
"""The same once the sandbox has acted: an answer that gets lost."""


class InProcessClient(stripe.HTTPClient):
    """Hand it to ``stripe.StripeClient(http_client=…)`` or to `StripeGateway`."""

    name = "sandbox"

    def __init__(
        self, sandbox: Sandbox, *, before: Before | None = None, after: After | None = None
    ) -> None:
        super().__init__()
        self.sandbox = sandbox
        self.before = before
        self.after = after

    def request(  # type: ignore[override]  # the SDK reads bytes as well
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        body = post_data.decode() if isinstance(post_data, bytes) else str(post_data or "")
        sent = Sent(method.upper(), target, dict(headers or {}), body)
        answer = self.before(sent) if self.before else None
        if answer is None:
            answer = self.sandbox.handle(sent.method, sent.target, sent.headers, sent.body)
            if self.after:
                answer = self.after(sent, answer) or answer
        return answer.body, answer.status, answer.headers

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        return self.request(method, url, headers, post_data)

    def close(self) -> None:
        """Nothing is open."""

    async def close_async(self) -> None:
        """Nothing is open."""
