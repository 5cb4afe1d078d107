"""The sandbox over HTTP, on this machine only.

What belongs here: the web application and the server's life. What does not: answers
(`engine.py`).
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing_pipeline.stripe_api.sandbox.engine import Rates, Sandbox

FILE_NAME = "stripe.sqlite"
_START_SECONDS = 20.0
_METHODS = ["GET", "POST", "DELETE"]


def application(sandbox: Sandbox, *, latency: float = 0.0) -> Starlette:
    """The sandbox as an ASGI application; every answer comes `latency` seconds late."""

    async def answer(request: Request) -> Response:
        body = (await request.body()).decode("utf-8", "replace")
        query = request.url.query
        target = f"{request.url.path}?{query}" if query else request.url.path
        if latency:
            await asyncio.sleep(latency)
        made = sandbox.handle(request.method, target, dict(request.headers), body)
        return Response(made.body, made.status, dict(made.headers))

    return Starlette(routes=[Route("/{path:path}", answer, methods=_METHODS)])


@contextmanager
def running_sandbox(
    directory: Path, *, latency: float = 0.0, rates: Rates | None = None
) -> Iterator[str]:
    """A sandbox with its state in `directory`, for as long as the block runs; gives its address.

    Any number may run over one directory, also in several processes; `rates`, what is more is
    answered with 429, are counted by each on its own.
    """
    sandbox = Sandbox(directory / FILE_NAME, rates=rates)
    try:
        with serving(sandbox, latency=latency) as base:
            yield base
    finally:
        sandbox.close()


@contextmanager
def serving(sandbox: Sandbox, *, latency: float = 0.0) -> Iterator[str]:
    """This sandbox over HTTP, for as long as the block runs; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application(sandbox, latency=latency),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="stripe-sandbox", daemon=True
    )
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_START_SECONDS)
        listener.close()


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    until = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise RuntimeError("the Stripe sandbox did not start")
        time.sleep(0.005)
