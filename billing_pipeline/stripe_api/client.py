"""The gateway: sends requests through Stripe's SDK.

What belongs here: building the client, sending one request with pacing and retries, turning
answers into plain dicts and errors into `StripeFailure`. What does not: which requests to send
(`collection/`), and the sandbox that answers them offline (`stripe_sandbox/`).
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import stripe

from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure, unreadable_answer
from billing_pipeline.stripe_api.permissions import permission_for
from billing_pipeline.stripe_api.rate_limit import RateLimiter, RateLimits
from billing_pipeline.stripe_api.retries import KEY_REUSE_SECONDS, RetryPolicy
from billing_pipeline.stripe_api.timing import Clock, SystemClock

Json = dict[str, Any]
T = TypeVar("T")

SANDBOX_KEY = "sk_test_sandbox"
"""The sandbox's key: not a secret, and it opens nothing."""

STRIPE_API = "https://api.stripe.com"

_ANY_KEY = re.compile(r"\b((?:[rs]k_(?:test|live)|whsec)_)[^\s'\"]+")

# Telemetry would write a file into the home directory and report our timings to Stripe.
stripe.enable_telemetry = False
# The SDK's debug log prints bodies; our own log names the requests without them.
logging.getLogger("stripe").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Answer:
    """A successful answer. `replayed`: Stripe repeated an earlier answer to the same request."""

    body: Json
    request_id: str | None
    replayed: bool


@dataclass(frozen=True)
class GatewayConfig:
    """How to reach Stripe. The key is left out of ``repr``."""

    api_key: str = field(repr=False)
    api_base: str = STRIPE_API
    limits: RateLimits = field(default_factory=RateLimits)
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    workers: int = 16
    timeout: float = 80.0
    account: str | None = None
    """The connected account to use, with a platform's key; None: the key's own account."""
    proxy: str | None = field(default=None, repr=False)

    @property
    def is_live(self) -> bool:
        return self.api_key.startswith(("sk_live_", "rk_live_"))


class StripeGateway:
    """Sends requests to Stripe, or to the sandbox.

    `http_client` (an SDK ``HTTPClient``) replaces the network in tests; `clock` and `rng` control
    waiting and jitter. One instance may be used by several event loops, one after the other: the
    connections belong to the running loop, and `aclose` closes them.
    """

    def __init__(
        self,
        config: GatewayConfig,
        *,
        http_client: stripe.HTTPClient | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.requests_sent = 0
        # The key's account, once it was requested: it never changes.
        self.account_id: str | None = None
        self._rng = rng or random.Random()
        self._http_client = http_client
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: stripe.StripeClient | None = None
        self._session: aiohttp.ClientSession | None = None
        self._limiter = RateLimiter(config.limits, self.clock)

    def __repr__(self) -> str:
        return f"StripeGateway({self.config.api_base})"

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Json:
        """One object."""
        return _object("GET", path, await self._send("get", path, params or {}, None)).body

    async def post(self, path: str, params: Mapping[str, Any], *, key: str) -> Answer:
        """Send a change. `key` is the idempotency key: the same key never acts twice."""
        if not key:
            raise ValueError("a request that changes something needs an idempotency key")
        return _object("POST", path, await self._send("post", path, params, key))

    async def delete(self, path: str) -> Answer:
        """Delete an object. It needs no key: a second deletion finds nothing (`NOT_FOUND`)."""
        return _object("DELETE", path, await self._send("delete", path, {}, None))

    async def newest(self, path: str) -> Json | None:
        """The newest object of a list; None where it is empty."""
        page = (await self._send("get", path, {"limit": 1}, None)).body
        return next(iter(_items(page, path)), None)

    async def list(self, path: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Json]:
        """Every object of a list, newest first, in pages of 100, without objects created meanwhile.
        If a page's last objects are deleted meanwhile, the list goes on after the last one left."""
        query: Json = {"limit": 100, **(params or {})}
        passed: list[str] = []
        while True:
            page = await self._page(path, query, passed)
            data = _items(page, path)
            for item in data:
                yield item
            if not page.get("has_more") or not data:
                return
            if passed and data[-1]["id"] == passed[-1]:
                raise _unreadable("GET", path, "the list does not continue after its first page")
            passed = [item["id"] for item in data]

    async def _page(self, path: str, query: Json, passed: Sequence[str]) -> Json:
        """The page at the query's cursor, or after the last of `passed` that still exists."""
        gone: StripeFailure | None = None
        for cursor in [{"starting_after": name} for name in passed[::-1]] or [{}]:
            try:
                return (await self._send("get", path, {**query, **cursor}, None)).body
            except StripeFailure as failure:
                if (failure.code, failure.param) != ("resource_missing", "starting_after"):
                    raise
                gone = failure
        assert gone is not None, "there was no cursor to be refused"
        raise gone

    async def aclose(self) -> None:
        """Close the connections of the running loop, but not an injected http client."""
        session, self._session, self._client, self._loop = self._session, None, None, None
        if session is not None:
            await session.close()

    async def _send(
        self, method: str, path: str, params: Mapping[str, Any], key: str | None
    ) -> Answer:
        attempt, began = 0, self.clock.now()
        last: StripeFailure | None = None
        while True:
            attempt += 1
            await self._limiter.wait(method, path)
            # Check this after all waiting: the machine may have slept meanwhile.
            if (
                last is not None
                and key is not None
                and self.clock.now() - began > KEY_REUSE_SECONDS
            ):
                raise last
            try:
                return await self._once(method, path, params, key)
            except StripeFailure as failure:
                failure.asked = f"{method.upper()} {path}"
                if failure.status == 403:
                    failure.permission = permission_for(method, path)
                last = failure
                delay = self.config.retries.delay(failure, attempt, self._rng.random())
                if delay is None:
                    raise
                if failure.kind is FailureKind.RATE_LIMITED and failure.code != "lock_timeout":
                    self._limiter.pause(delay)
            await self.clock.sleep(delay)

    async def _once(
        self, method: str, path: str, params: Mapping[str, Any], key: str | None
    ) -> Answer:
        client = self._loop_client()
        options = {} if key is None else {"idempotency_key": key}
        self.requests_sent += 1
        try:
            response = await client.raw_request_async(method, path, **params, **options)
        except stripe.StripeError as error:
            raise self._failure(error) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The SDK wraps errors before the headers, but not errors while it reads the body.
            message = f"the connection to Stripe broke: {type(error).__name__}"
            raise StripeFailure(FailureKind.CONNECTION, message) from None
        headers = _lower(response.headers)
        body: object = response.data
        if not isinstance(body, dict):
            raise _unreadable(method, path, "the answer is not a JSON object")
        if "data" not in body and not isinstance(body.get("id"), str):
            raise _unreadable(method, path, "the answer is neither a list nor an object with an id")
        return Answer(
            body=body,
            request_id=headers.get("request-id"),
            replayed=headers.get("idempotent-replayed") == "true",
        )

    def _loop_client(self) -> stripe.StripeClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            transport = self._http_client
            if transport is None:
                # As many as there are workers: with fewer connections, requests would wait for
                # each other or reconnect.
                connector = aiohttp.TCPConnector(limit=self.config.workers)
                self._session = aiohttp.ClientSession(connector=connector, proxy=self.config.proxy)
                transport = stripe.AIOHTTPClient(timeout=self.config.timeout, session=self._session)
            self._client = stripe.StripeClient(
                self.config.api_key,
                base_addresses={"api": self.config.api_base},
                stripe_account=self.config.account,
                http_client=transport,
                max_network_retries=0,
            )
            self._loop = loop
        return self._client

    def _failure(self, error: stripe.StripeError) -> StripeFailure:
        headers = _lower(error.headers or {})
        message = str(error.user_message or type(error).__name__)
        if isinstance(error, stripe.APIConnectionError):
            # The SDK's own text asks people to contact Stripe's support.
            message = f"no answer from {self.config.api_base}: {error.__context__ or message}"
        body = error.json_body if isinstance(error.json_body, dict) else {}
        details = body.get("error") if isinstance(body.get("error"), dict) else {}
        assert isinstance(details, dict)
        return StripeFailure(
            _kind(error, details),
            # A proxy's error page may be long, and Stripe quotes a wrong key.
            self._without_key(message)[:500],
            status=error.http_status,
            code=details.get("decline_code") or details.get("code") or error.code,
            param=details.get("param"),
            request_id=headers.get("request-id"),
            should_retry=_flag(headers.get("stripe-should-retry")),
            retry_after=_seconds(headers.get("retry-after")),
            replayed=headers.get("idempotent-replayed") == "true",
        )

    def _without_key(self, text: str) -> str:
        # Stripe quotes a key with only its middle masked, so its end would be in our logs.
        return _ANY_KEY.sub(r"\1…", text.replace(self.config.api_key, "the key"))


def _items(page: Json, path: str) -> list[Json]:
    """The objects on a page. Raises `StripeFailure` if the answer is not a page."""
    data = page.get("data")
    if not isinstance(data, list):
        raise _unreadable("GET", path, "the answer is not a list: it lacks `data`")
    if not all(isinstance(item, dict) and isinstance(item.get("id"), str) for item in data):
        raise _unreadable(
            "GET", path, "the list contains something that is not an object with an id"
        )
    return data


def _object(method: str, path: str, answer: Answer) -> Answer:
    """The answer, which is one object. Raises `StripeFailure` if it has no id."""
    if not isinstance(answer.body.get("id"), str):
        raise _unreadable(method, path, "the answer is not an object with an id")
    return answer


def _unreadable(method: str, path: str, why: str) -> StripeFailure:
    """A success status with a body that is not Stripe's, for example from a proxy. Nobody knows
    whether Stripe acted."""
    failure = unreadable_answer(why)
    failure.asked = f"{method.upper()} {path}"
    return failure


def _kind(error: stripe.StripeError, details: Mapping[str, Any]) -> FailureKind:
    if isinstance(error, stripe.APIConnectionError):
        return FailureKind.CONNECTION
    if isinstance(error, stripe.IdempotencyError) or details.get("type") == "idempotency_error":
        # "in use" is a temporary conflict: the first request is still running.
        in_use = error.http_status == 409 or details.get("code") == "idempotency_key_in_use"
        return FailureKind.CONFLICT if in_use else FailureKind.IDEMPOTENCY
    if isinstance(error, stripe.RateLimitError):
        return FailureKind.RATE_LIMITED
    status = error.http_status or 0
    by_status = {
        401: FailureKind.CREDENTIALS,
        402: FailureKind.CARD,
        403: FailureKind.CREDENTIALS,
        404: FailureKind.NOT_FOUND,
        409: FailureKind.CONFLICT,
        429: FailureKind.RATE_LIMITED,
    }
    if status in by_status:
        return by_status[status]
    # An answer that is not JSON comes from something between us and Stripe. Whatever its status,
    # nobody knows whether Stripe acted.
    if status >= 500 or isinstance(error, stripe.APIError):
        return FailureKind.SERVER
    if details.get("code") == "resource_missing" and details.get("param") == "id":
        return FailureKind.NOT_FOUND
    return FailureKind.REFUSED


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _flag(text: str | None) -> bool | None:
    return {"true": True, "false": False}.get(text or "")


def _seconds(text: str | None) -> float | None:
    # HTTP also allows a date, but Stripe sends seconds; anything else is ignored.
    return float(text) if text is not None and text.isdigit() else None


def run_closing(gateway: StripeGateway, work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in an event loop of its own, and close the gateway's connections at its end."""

    async def main() -> T:
        try:
            return await work()
        finally:
            await gateway.aclose()

    try:
        return asyncio.run(main())
    except BaseExceptionGroup as group:
        # Ctrl-C in a task is raised as an exception group, in which nobody would look for it.
        interruptions = group.subgroup(lambda error: not isinstance(error, Exception))
        if interruptions is None:
            raise
        raise KeyboardInterrupt from group
