"""The receiver of Stripe's webhooks: it answers once an event is on the disk.

What belongs here: the web application and its server. What does not: Stripe's signatures
(``stripe_api.webhook_signature``), the store (``inbox``), and acting on events: the sensor
`stripe_changes` takes them from the store. An event only says which invoice to read again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from billing_pipeline.collection.pull.inbox import Inbox, InvalidEventError, read_event
from billing_pipeline.collection.records.opening import explain_errors
from billing_pipeline.settings import InvalidSettingError, Settings
from billing_pipeline.stripe_api.webhook_signature import HEADER, BadSignatureError, verify
from billing_pipeline.web.own_pages import known_hosts_only, own_origins
from billing_pipeline.web.serving import listen
from billing_pipeline.web.serving import serve as serve_application

PATH = "/stripe/webhooks"
HEALTH_PATH = "/health"
MAX_BODY_BYTES = 512 * 1024
"""Bytes. Stripe's events have some kilobytes: an invoice comes with its first ten lines only."""
BODY_TIMEOUT_SECONDS = 10.0
"""A sender that is slower is not Stripe."""
CONNECTION_TIMEOUT_SECONDS = 20.0
"""From the first byte of the header to the answer; each connection has one request."""
MAX_CONNECTIONS = 500
"""At the same time. Less than the 1,024 files that a process may have open by default."""


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def application(inbox: Inbox, secrets: Sequence[str]) -> Starlette:
    """The receiver as an ASGI application."""

    async def receive(request: Request) -> Response:
        try:
            _refuse_browsers(request)
            body = await _body(request)
            verify(body, request.headers.get(HEADER), secrets)
            event = read_event(body)
        except _RefusedError as refused:
            # The connection is not closed: a client that is still sending would not get the reason.
            return PlainTextResponse(f"{refused}\n", refused.status)
        except (BadSignatureError, InvalidEventError) as refused:
            return _answer(str(refused), 400)
        is_new = await run_in_threadpool(inbox.put, event, time.time())
        return _answer("stored" if is_new else "known")

    async def health(_: Request) -> Response:
        await run_in_threadpool(inbox.pending, 1)
        return _answer("listening")

    return Starlette(
        routes=[Route(PATH, receive, methods=["POST"]), Route(HEALTH_PATH, health)],
    )


def _answer(text: str, status: int = 200) -> Response:
    return PlainTextResponse(f"{text}\n", status, {"Connection": "close"})


def _refuse_browsers(request: Request) -> None:
    """Refuse requests that Stripe does not send: those of a page in a browser, and without JSON."""
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
        raise _RefusedError(403, "this address is for Stripe, not for browsers")
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _RefusedError(415, "the body is not declared as application/json")


async def _body(request: Request) -> bytes:
    """The body as sent. Raises `_RefusedError` where it is too large, too late or incomplete."""
    declared = request.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _RefusedError(413, "the body is too large")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise _RefusedError(413, "the body is too large")
    except TimeoutError:
        raise _RefusedError(408, "the body did not arrive in time") from None
    except ClientDisconnect:
        raise _RefusedError(400, "the body is incomplete") from None
    return bytes(body)


class _LimitedConnection(H11Protocol):
    """A connection that ends after a time, however little has come, and makes room for newer ones.

    uvicorn itself waits for the rest of a header without a limit, and beyond its own limit of
    connections it refuses the newest, which may be Stripe's.
    """

    _open: ClassVar[dict[asyncio.Transport, asyncio.TimerHandle]] = {}
    """The open connections, oldest first, each with the timer that will end it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self._open) >= MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            self._open.pop(oldest).cancel()
            oldest.abort()
        call_later = asyncio.get_running_loop().call_later
        self._open[transport] = call_later(CONNECTION_TIMEOUT_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        timer = self._open.pop(self.transport, None)
        if timer is not None:
            timer.cancel()
        super().connection_lost(exc)


def serve(
    settings: Settings, host: str, port: int, notify: Callable[[str], None], urls: Sequence[str]
) -> None:
    """Receive until the process is told to end. `urls` are further addresses, besides the loopback
    one, at which Stripe's requests arrive. Raises `InvalidSettingError` without a secret, `OSError`
    where the address is not available."""
    secrets = settings.webhook_secrets
    if not secrets:
        raise InvalidSettingError(
            "STRIPE_WEBHOOK_SECRET is not set: it is the signing secret (whsec_…) that Stripe "
            "shows for the endpoint; several, separated by commas, while one replaces the other"
        )
    with explain_errors(settings.records_dir):
        inbox = Inbox(settings.records_dir)
    try:
        listener, found = listen(host, port)
        guarded = known_hosts_only(application(inbox, secrets), own_origins(found, urls))
        serve_application(guarded, listener, PATH, notify, lifespan="off", http=_LimitedConnection)
    finally:
        inbox.close()
