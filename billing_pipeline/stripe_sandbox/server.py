"""The sandbox over HTTP, on this machine only.

What belongs here: the web application and the server's life. What does not: answers
(`engine.py`).
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


class SandboxStateError(RuntimeError):
    """The sandbox's state cannot be read or written; the message says what to do."""


@contextmanager
def running_sandbox(
    directory: Path, *, latency: float = 0.0, rates: Rates | None = None
) -> Iterator[str]:
    """A sandbox with its state in `directory`, for as long as the block runs; gives its address.

    Any number may run over one directory, also in several processes; `rates`, what is more is
    answered with 429, are counted by each on its own.
    """
    try:
        sandbox = Sandbox(directory / FILE_NAME, rates=rates)
    except sqlite3.DatabaseError as error:
        raise SandboxStateError(
            f"the sandbox's state, {directory / FILE_NAME}, cannot be used: {error}. If it is "
            "damaged, put it back from a copy, or begin anew: delete sandbox/ and records/ together"
        ) from error
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
    """A server that ends when it is told to. uvicorn's looks every 100 ms whether it should, and
    then waits for 100 ms more; a run begins and ends one for each step that asks Stripe."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    def end(self) -> None:
        """From any thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it saw that by itself, and its loop is closed by now
                self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 0.1)

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
