"""Tests may only connect to this machine: any other connection fails, and names its address.

What belongs here: the guard over this process's sockets. What does not: servers for tests.
"""

from __future__ import annotations

import ipaddress
import sys
from typing import Any


class NotLoopbackError(Exception):
    """A test, or the code under test, asked for another machine."""


def stay_on_this_machine() -> None:
    """From now on in this process: names and addresses of others are refused."""
    sys.addaudithook(_look)


def is_loopback(host: object) -> bool:
    if not host:
        return True  # all addresses of this machine
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return text == "localhost"


def _look(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    if not is_loopback(host):
        raise NotLoopbackError(f"a test asks for {host!r}; it may only talk to this machine")
