"""The gateway: which requests are retried, how long it waits, how fast it sends, error texts."""

from __future__ import annotations

import asyncio
import json
import random
import selectors
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
import stripe

from billing_pipeline.stripe_api.client import GatewayConfig, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure
from billing_pipeline.stripe_api.rate_limit import (
    HEADROOM,
    MAX_CATCH_UP,
    RateLimiter,
    RateLimits,
    endpoint_of,
)
from billing_pipeline.stripe_api.retries import RetryPolicy
from tests.virtual_clock import VirtualClock

Scripted = tuple[int, dict[str, Any], dict[str, str]] | Exception
OK: Scripted = (200, {"id": "in_1"}, {})


class Script(stripe.HTTPClient):
    """Gives its answers one after the other."""

    name = "script"

    def __init__(self, *answers: Scripted) -> None:
        super().__init__()
        self.answers = list(answers)
        self.keys: list[str] = []

    async def request_async(
        self, method: str, url: str, headers: Any, post_data: Any = None
    ) -> Any:
        self.keys.append(headers.get("Idempotency-Key"))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return json.dumps(answer[1]).encode(), answer[0], answer[2]


def error(status: int, kind: str = "api_error", message: str = "no", **headers: str) -> Scripted:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"error": {"type": kind, "message": message}}, names


def post(*answers: Scripted) -> tuple[StripeGateway, Script, VirtualClock, Any]:
    clock, script = VirtualClock(), Script(*answers)
    gateway = StripeGateway(
        GatewayConfig("sk_test_secret"), http_client=script, clock=clock, rng=random.Random(0)
    )
    start = clock.now()
    try:
        result: Any = asyncio.run(gateway.post("/v1/invoices", {}, key="k:1:create:0"))
    except StripeFailure as failure:
        result = failure
    clock.advance(0)
    gateway.waited = clock.now() - start  # type: ignore[attr-defined]
    return gateway, script, clock, result


@pytest.mark.parametrize(
    "first",
    [
        error(429),
        error(409),
        error(500),
        error(503),
        stripe.APIConnectionError("reset"),
        TimeoutError(),
        error(400, should="x", Stripe_Should_Retry="true"),
    ],
)
def test_tried_again_under_the_same_key(first: Scripted) -> None:
    _, script, _, result = post(first, OK)
    assert result.body == {"id": "in_1"}
    assert script.keys == ["k:1:create:0"] * 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(400, "invalid_request_error"), FailureKind.REFUSED),
        (error(401, "invalid_request_error"), FailureKind.CREDENTIALS),
        (error(402, "card_error"), FailureKind.CARD),
        (error(404, "invalid_request_error"), FailureKind.NOT_FOUND),
        (error(400, "idempotency_error"), FailureKind.IDEMPOTENCY),
        (error(500, Stripe_Should_Retry="false"), FailureKind.SERVER),
    ],
)
def test_not_tried_again(answer: Scripted, kind: FailureKind) -> None:
    _, script, _, result = post(answer, OK)
    assert result.kind is kind
    assert len(script.keys) == 1


def test_a_saved_500_is_not_retried_forever() -> None:
    _, script, _, result = post(*[error(500, idempotent_replayed="true")] * 9)
    assert (result.kind, len(script.keys), result.replayed) == (FailureKind.SERVER, 3, True)


def test_a_key_that_stripe_may_have_forgotten_is_not_sent_again() -> None:
    """The machine slept for a day while it waited for the next attempt: Stripe would act twice."""

    class Sleepy(VirtualClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(25 * 3600)

    async def send() -> None:
        await gateway.post("/v1/invoices", {}, key="k:1:create:0")

    script = Script(stripe.APIConnectionError("reset"), OK)
    gateway = StripeGateway(GatewayConfig("sk_test_x"), http_client=script, clock=Sleepy())
    with pytest.raises(StripeFailure) as failed:
        asyncio.run(send())
    assert failed.value.kind is FailureKind.CONNECTION
    assert len(script.keys) == 1


def test_retry_after_is_waited_for_and_jitter_comes_on_top() -> None:
    gateway, _, _, _ = post(error(429, Retry_After="7"), OK)
    assert 7 < gateway.waited <= 8  # type: ignore[attr-defined]


def test_backing_off_grows_and_is_bounded() -> None:
    policy, failure = RetryPolicy(), StripeFailure(FailureKind.CONNECTION, "x")
    delays = [policy.delay(failure, attempt, 0.999999) or 0 for attempt in range(1, 8)]
    assert delays == sorted(delays)
    assert delays[-1] <= policy.max_delay
    assert policy.delay(failure, 8, 0.5) is None


def test_a_rate_limit_is_waited_for_even_where_stripe_advises_against_it() -> None:
    failure = StripeFailure(FailureKind.RATE_LIMITED, "slow down", should_retry=False)
    policy = RetryPolicy()
    assert policy.delay(failure, 1, 0) is not None
    assert policy.delay(failure, policy.attempts, 0) is None
    conflict = StripeFailure(FailureKind.CONFLICT, "x", should_retry=False)
    assert policy.delay(conflict, 1, 0) is None


def test_an_error_names_the_request_and_never_the_key() -> None:
    _, _, _, result = post(
        error(401, "invalid_request_error", "Invalid API Key: sk_test_secret", Request_Id="req_9")
    )
    result.customer_id = "ada"
    assert "request req_9" in str(result) and "customer ada" in str(result)
    assert "sk_test_secret" not in str(result) + repr(result)


def test_a_change_without_a_key_is_refused_before_it_is_sent() -> None:
    gateway = StripeGateway(GatewayConfig("sk_test_x"), http_client=Script())
    with pytest.raises(ValueError, match="idempotency key"):
        asyncio.run(gateway.post("/v1/invoices", {}, key=""))


def test_a_page_of_a_proxy_is_a_server_failure() -> None:
    class Html(Script):
        async def request_async(self, *args: Any, **more: Any) -> Any:
            return b"<html>Bad gateway</html>", 502, {}

    gateway = StripeGateway(GatewayConfig("sk_test_x"), http_client=Html(), clock=VirtualClock())
    with pytest.raises(StripeFailure) as failed:
        asyncio.run(gateway.get("/v1/account"))
    assert failed.value.kind is FailureKind.SERVER


def test_lists_are_read_to_their_end() -> None:
    pages = [
        (200, {"data": [{"id": "a"}, {"id": "b"}], "has_more": True}, {}),
        (200, {"data": [{"id": "c"}], "has_more": False}, {}),
    ]
    gateway = StripeGateway(GatewayConfig("sk_test_x"), http_client=Script(*pages))

    async def read() -> list[str]:
        return [item["id"] async for item in gateway.list("/v1/invoices")]

    assert asyncio.run(read()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/invoices", "get /v1/invoices"),
        ("/v1/invoices/in_1/add_lines", "get /v1/invoices/:id/add_lines"),
        (
            "/v1/customers/x/balance_transactions/y",
            "get /v1/customers/:id/balance_transactions/:id",
        ),
    ],
)
def test_endpoints_are_counted_as_stripe_counts_them(path: str, name: str) -> None:
    assert endpoint_of("get", path) == name


def test_limits_follow_the_kind_of_key() -> None:
    assert RateLimits.for_key("sk_live_x").total == 100
    assert RateLimits.for_key("rk_test_x") == RateLimits(25, 25)
    assert RateLimits.for_key(None) == RateLimits()


class NoWaiting(selectors.DefaultSelector):
    """An event loop's time passes at once where all tasks wait, and nowhere else."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.passed += timeout or 0.0
        return super().select(0 if timeout is not None else None)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.waits = NoWaiting()
        super().__init__(self.waits)

    def time(self) -> float:
        return self.waits.passed


class LoopClock:
    """The time of the event loop, for several tasks that wait at once."""

    def now(self) -> float:
        return self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def test_requests_waiting_through_a_stall_are_not_sent_together() -> None:
    clock = LoopClock()
    loop = VirtualLoop()
    limiter = RateLimiter(RateLimits(total=25), clock)
    sent: list[float] = []

    async def one() -> None:
        await limiter.wait("post", "/v1/invoices")
        sent.append(clock.monotonic())

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(one())
            await clock.sleep(0.1)
            loop.waits.passed += 1.0  # the process gets no processor: 24 slots pass

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert len(sent) == 30
    assert min(gaps) > 1 / 25 - MAX_CATCH_UP
    assert max(sum(at <= other < at + 0.95 for other in sent) for at in sent) <= 25


def test_timers_that_are_late_do_not_slow_a_push_down() -> None:
    rng = random.Random(1)

    class Late(VirtualClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds + rng.uniform(0.0, 0.004))

    clock = Late(0.0)
    limiter = RateLimiter(RateLimits(total=25), clock)

    async def main() -> None:
        for _ in range(240):
            await limiter.wait("post", "/v1/invoices")

    asyncio.run(main())
    assert clock.monotonic() == pytest.approx(240 / (25 * HEADROOM), rel=0.01)


def test_no_second_has_more_requests_than_the_limits() -> None:
    clock = VirtualClock(0.0)
    limiter = RateLimiter(RateLimits(total=40, per_endpoint=25), clock)
    sent: list[tuple[float, str]] = []

    async def main() -> None:
        for number in range(400):
            path = f"/v1/{'invoices' if number % 2 else 'customers'}"
            await limiter.wait("post", path)
            sent.append((clock.monotonic(), path))

    asyncio.run(main())
    for second in range(int(sent[-1][0])):
        paths = Counter(path for at, path in sent if second <= at < second + 1)
        assert sum(paths.values()) <= 40
        assert max(paths.values(), default=0) <= 25
    assert sent[-1][0] < 400 / 40 / 0.95 + 1
