"""The guard that keeps tests on this machine."""

from __future__ import annotations

import socket

import pytest

from tests.loopback import NotLoopbackError, is_loopback


@pytest.mark.parametrize(
    "host", ["api.stripe.com", "10.0.0.1", "::", "2001:db8::1", b"example.com"]
)
def test_another_machine_is_refused(host: str | bytes) -> None:
    assert not is_loopback(host)
    with pytest.raises(NotLoopbackError):
        socket.getaddrinfo(host, 443)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", b"localhost", None, ""]
)
def test_this_machine_is_not(host: object) -> None:
    assert is_loopback(host)


def test_a_connection_by_address_is_refused_too() -> None:
    with socket.socket() as ours, pytest.raises(NotLoopbackError, match=r"192\.0\.2\.1"):
        ours.connect(("192.0.2.1", 443))
