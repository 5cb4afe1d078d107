"""The sandbox over HTTP, on this machine only.

What belongs here: the web application, and starting and stopping its server. What does not: the
answers (`engine.py`).
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing_pipeline.stripe_sandbox.engine import Rates, Sandbox

FILE_NAME = "stripe.sqlite"
_START_SECONDS = 20.0
_METHODS = ["GET", "POST", "DELETE"]


def application(sandbox: Sandbox, *, latency: float) -> Starlette:
    """The sandbox as an ASGI application; every answer is delayed by `latency` seconds."""

    async def answer(request: Request) -> Response:
        body = (await request.body()).decode("utf-8", "replace")
        query = request.url.query
        target = f"{request.url.path}?{query}" if query else request.url.path
        if latency:
            await asyncio.sleep(latency)
        made = sandbox.handle(request.method, target, dict(request.headers), body)
        return Response(made.body, made.status, dict(made.headers))

    return Starlette(routes=[Route("/{path:path}", answer, methods=_METHODS)])


class SandboxStateError(RuntimeError):
    """The sandbox's state cannot be read or written; the message says what to do."""


@contextmanager
def running_sandbox(
    directory: Path, *, latency: float = 0.0, rates: Rates | None = None
) -> Iterator[str]:
    """Serve a sandbox with its state in `directory` while the block runs; yields its address.

    Any number may share one directory, also in several processes. Each counts `rates` on its own
    and answers 429 beyond them.
    """
    try:
        sandbox = Sandbox(directory / FILE_NAME, rates=rates)
    except sqlite3.DatabaseError as error:
        raise SandboxStateError(
            f"the sandbox's state, {directory / FILE_NAME}, cannot be used: {error}. If it is "
            "damaged, restore it from a copy, or start over: delete sandbox/ and records/ together"
        ) from error
    try:
        with serving(sandbox, latency=latency) as base:
            yield base
    finally:
        sandbox.close()


@contextmanager
def serving(sandbox: Sandbox, *, latency: float) -> Iterator[str]:
    """Serve this sandbox over HTTP while the block runs; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application(sandbox, latency=latency),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="stripe-sandbox", daemon=True
    )
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.end()
        thread.join(_START_SECONDS)
        listener.close()


class _Server(uvicorn.Server):
    """A server that stops at once. uvicorn's own takes up to 200 ms to notice that it should, and a
    run starts and stops one server for each step that talks to Stripe."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def end(self) -> None:
        """Stop the server; can be called from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has already stopped and closed its loop
                self._loop.call_soon_threadsafe(self._stop.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
        for server in self.servers:
            server.close()


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    until = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise RuntimeError("the Stripe sandbox did not start")
        time.sleep(0.005)
