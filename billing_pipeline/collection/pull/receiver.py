"""The receiver of Stripe's webhooks, which answers once an event is on the disk.

What belongs here: the web application and its server. What does not: Stripe's signatures
(``stripe_api.webhook_signature``), the store (``inbox``), and acting on events: the sensor
`stripe_changes` takes them from the store. An event only says which invoice to read again.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from billing_pipeline.collection.pull.inbox import Inbox, InvalidEventError, read_event
from billing_pipeline.collection.records.opening import errors_in_words
from billing_pipeline.settings import InvalidSettingError, Settings
from billing_pipeline.stripe_api.webhook_signature import HEADER, BadSignatureError, verify

PATH = "/stripe/webhooks"
LARGEST_BODY = 512 * 1024
"""Stripe's events have some kilobytes: an invoice comes with its first ten lines only."""
SECONDS_FOR_BODY = 10.0
"""Who sends more slowly is not Stripe."""
AT_ONCE = 200


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def application(inbox: Inbox, secrets: Sequence[str]) -> Starlette:
    """The receiver as an ASGI application."""

    async def receive(request: Request) -> Response:
        try:
            body = await _body(request)
            verify(body, request.headers.get(HEADER), secrets)
            event = read_event(body)
        except _RefusedError as refused:
            return PlainTextResponse(f"{refused}\n", refused.status)
        except (BadSignatureError, InvalidEventError) as refused:
            return PlainTextResponse(f"{refused}\n", 400)
        is_new = await run_in_threadpool(inbox.put, event, time.time())
        return PlainTextResponse("stored\n" if is_new else "known\n")

    return Starlette(routes=[Route(PATH, receive, methods=["POST"])])


async def _body(request: Request) -> bytes:
    """The body, as sent, if it is not too large and comes in time."""
    declared = request.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > LARGEST_BODY:
        raise _RefusedError(413, "the body is too large")
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS_FOR_BODY):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_BODY:
                    raise _RefusedError(413, "the body is too large")
    except TimeoutError:
        raise _RefusedError(408, "the body did not come in time") from None
    except ClientDisconnect:
        raise _RefusedError(400, "the body did not come whole") from None
    return bytes(body)


def serve(settings: Settings, host: str, port: int, notify: Callable[[str], None]) -> None:
    """Receive until the process is told to end. Raises `InvalidSettingError` without a secret,
    `OSError` where the address cannot be had."""
    secrets = settings.webhook_secrets
    if not secrets:
        raise InvalidSettingError(
            "STRIPE_WEBHOOK_SECRET is not set: it is the signing secret (whsec_…) that Stripe "
            "shows for the endpoint; several, separated by commas, while one replaces the other"
        )
    with errors_in_words(settings.records_dir):
        inbox = Inbox(settings.records_dir)
    listener = socket.create_server((host, port))
    config = uvicorn.Config(
        application(inbox, secrets),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=AT_ONCE,
        timeout_graceful_shutdown=3,
    )
    shown_host, shown_port = listener.getsockname()[:2]
    server = uvicorn.Server(config)
    # Not in the main thread: there it would take the signals, and send each once more when it has
    # ended, which counts as the second one that ends a process at once.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    try:
        # To be told to end is no failure, from the moment on at which it may be known to listen.
        with suppress(KeyboardInterrupt):
            notify(f"Listening on http://{shown_host}:{shown_port}{PATH}")
            thread.start()
            thread.join()
        server.should_exit = True  # lets the last requests end
        if thread.ident is not None:
            thread.join()
        notify("Stopped.")
    finally:
        listener.close()
        inbox.close()
