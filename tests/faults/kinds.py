"""The faults: what can go wrong at one request.

What belongs here: each kind as the few lines that it takes, and their list. What does not: how
they reach the request (`network.py`) and which strike when (`schedules.py`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import stripe

from billing_pipeline.stripe_sandbox.wire import Response
from tests.faults.network import Fault, Line
from tests.in_process import Sent

DAY_AND_MORE = 25 * 3600
"""Seconds after which Stripe has forgotten every idempotency key used so far."""
SERVER_ERROR = {"error": {"type": "api_error", "message": "Something went wrong at Stripe's end"}}


def _error(status: int, kind: str, **more: str) -> Response:
    body = {"error": {"type": kind, "message": f"an injected {status}", **more}}
    return Response(status, {"Request-Id": "req_injected"}, json.dumps(body).encode())


# The process ends.
def _kill(line: Line, sent: Sent) -> None:
    line.kill()


def _kill_after(line: Line, sent: Sent, response: Response) -> None:
    line.kill()


def _kill_after_and_a_day(line: Line, sent: Sent, response: Response) -> None:
    """Nobody notices for a day: Stripe has forgotten the keys when the next run begins."""
    line.network.aftermath.append(lambda: line.network.sleep(DAY_AND_MORE))
    line.kill()


def _kill_after_and_lose_records(line: Line, sent: Sent, response: Response) -> None:
    line.network.aftermath.append(line.network.lose_records)
    line.kill()


def _kill_in_flight(line: Line, sent: Sent) -> None:
    line.network.send_late(sent)
    line.kill()


# The connection breaks.
def _reset(line: Line, sent: Sent) -> None:
    raise stripe.APIConnectionError("connection reset by peer")


def _reset_after(line: Line, sent: Sent, response: Response) -> None:
    raise stripe.APIConnectionError("connection reset by peer")


def _timeout(line: Line, sent: Sent) -> None:
    raise TimeoutError


def _timeout_after(line: Line, sent: Sent, response: Response) -> None:
    raise TimeoutError


def _timeout_in_flight(line: Line, sent: Sent) -> None:
    line.network.send_late(sent)
    raise TimeoutError


# Stripe, or something in between, answers with an error.
def _rate_limited(line: Line, sent: Sent) -> Response:
    answer = _error(429, "invalid_request_error", code="rate_limit")
    return replace(answer, headers={**answer.headers, "Retry-After": "2"})


def _lock_timeout(line: Line, sent: Sent) -> Response:
    return _error(429, "invalid_request_error", code="lock_timeout")


def _server_error(line: Line, sent: Sent) -> Response:
    return _error(500, "api_error")


def _server_error_kept(line: Line, sent: Sent) -> Response:
    """Stripe failed before it changed anything, and keeps the 500 under the key."""
    return _keep_server_error(line, sent)


def _server_error_kept_after(line: Line, sent: Sent, response: Response) -> Response:
    """Stripe failed once it had acted, and keeps the 500 under the key."""
    return _keep_server_error(line, sent)


def _keep_server_error(line: Line, sent: Sent) -> Response:
    key = {name.lower(): value for name, value in sent.headers.items()}.get("idempotency-key")
    if key is not None:
        line.sandbox.keep_answer(sent.method, sent.target, key, sent.body, 500, SERVER_ERROR)
    return Response(500, {"Request-Id": "req_injected"}, json.dumps(SERVER_ERROR).encode())


def _bad_gateway_after(line: Line, sent: Sent, response: Response) -> Response:
    """A proxy's page, no answer of Stripe's: it has acted, and its answer is lost."""
    return Response(502, {"Content-Type": "text/html"}, b"<html>502 Bad Gateway</html>")


def _conflict(line: Line, sent: Sent) -> Response:
    return _error(409, "invalid_request_error", code="lock_timeout")


def _key_in_use(line: Line, sent: Sent) -> Response:
    return _error(409, "idempotency_error", code="idempotency_key_in_use")


# Time, and others at work.
async def _a_day(line: Line) -> None:
    line.network.sleep(DAY_AND_MORE)


def _meanwhile(name: str) -> Callable[[Line], Awaitable[None]]:
    async def act(line: Line) -> None:
        await line.network.others[name]()

    return act


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill-before", before=_kill),
        Fault("kill-after", after=_kill_after, for_reads=False),
        Fault("kill-in-flight", before=_kill_in_flight, for_reads=False),
        Fault("kill-after-and-a-day", after=_kill_after_and_a_day),
        Fault("kill-after-and-lose-records", after=_kill_after_and_lose_records),
        Fault("reset-before", before=_reset),
        Fault("reset-after", after=_reset_after, for_reads=False),
        Fault("timeout-before", before=_timeout),
        Fault("timeout-after", after=_timeout_after, for_reads=False),
        Fault("timeout-in-flight", before=_timeout_in_flight, for_reads=False),
        Fault("429", before=_rate_limited),
        Fault("429-lock-timeout", before=_lock_timeout, for_reads=False),
        Fault("500", before=_server_error),
        Fault("500-kept", before=_server_error_kept, for_reads=False),
        Fault("500-kept-after", after=_server_error_kept_after, for_reads=False),
        Fault("502-after", after=_bad_gateway_after, for_reads=False),
        Fault("409", before=_conflict, for_reads=False),
        Fault("409-key-in-use", before=_key_in_use, for_reads=False),
        Fault("a-day-passes", meanwhile=_a_day),
        Fault("second-run", meanwhile=_meanwhile("second-run")),
        Fault("waiting-run", meanwhile=_meanwhile("waiting-run")),
        Fault("other-month", meanwhile=_meanwhile("other-month")),
        Fault("pull", meanwhile=_meanwhile("pull")),
    )
}
