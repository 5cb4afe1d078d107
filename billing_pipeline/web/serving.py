"""Serving an ASGI application until the process is told to end.

What belongs here: the socket, the server and its end. What does not: applications, and which
requests they answer (``own_pages``).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp


def listen(host: str, port: int) -> tuple[socket.socket, int]:
    """A socket and its port, chosen where `port` is 0. Raises OSError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    return listener, listener.getsockname()[1]


def serve(
    application: ASGIApp,
    listener: socket.socket,
    path: str,
    notify: Callable[[str], None],
    **options: Any,
) -> None:
    """Serve until the process is told to end, and say so; `options` are uvicorn's."""
    # h11 refuses a request with two hosts, of which another parser would take either.
    usual = {"http": "h11", "log_config": None, "access_log": False, "server_header": False}
    config = uvicorn.Config(application, timeout_graceful_shutdown=3, **(usual | options))
    host, port = listener.getsockname()[:2]
    shown_host = f"[{host}]" if ":" in host else host
    server = uvicorn.Server(config)
    # Not in the main thread: there it would take the signals, and send each once more when it has
    # ended, which counts as the second one that ends a process at once.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    try:
        # To be told to end is no failure, from the moment on at which it may be known to listen.
        with suppress(KeyboardInterrupt):
            notify(f"Listening on http://{shown_host}:{port}{path}")
            thread.start()
            thread.join()
        server.should_exit = True  # lets the last requests end
        if thread.ident is not None:
            thread.join()
        notify("Stopped.")
    finally:
        listener.close()
