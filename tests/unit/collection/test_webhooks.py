"""The receiver of webhooks, over real HTTP, in a process of its own."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe

from billing_pipeline.collection.pull.inbox import FILE_NAME, Inbox, InvalidEventError, read_event
from billing_pipeline.collection.pull.receiver import MAX_BODY_BYTES, MAX_CONNECTIONS
from billing_pipeline.settings import Settings
from tests.end_to_end.commands import environment

OLD, NEW = "whsec_old_0123456789", "whsec_new_0123456789"


@dataclass
class Receiver:
    """A running `billing webhooks`."""

    process: subprocess.Popen[str]
    address: str
    home: Path

    def send(self, body: bytes, header: str | None, method: str = "POST", path: str = "") -> int:
        parts = urlsplit(self.address)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        signature = {} if header is None else {"Stripe-Signature": header}
        headers = {"Content-Type": "application/json; charset=utf-8"} | signature
        try:
            connection.request(method, path or parts.path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        parts = urlsplit(self.address)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall(data)
            return connection.recv(1000)

    def stored(self) -> list[str]:
        with sqlite3.connect(self.home / "records" / FILE_NAME) as db:
            return [row[0] for row in db.execute("select event_id from events order by event_id")]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    home = tmp_path / "home"
    settings = {"STRIPE_WEBHOOK_SECRET": f"{OLD}, {NEW}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "billing_pipeline", "webhooks", "--port", "0"],
        env=environment(home, tmp_path, **settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield Receiver(process, line.split()[-1], home)
    finally:
        process.kill()
        process.wait()


def event(name: str = "evt_1", **more: Any) -> bytes:
    thing = {"id": "in_1", "object": "invoice", "created": 5, "customer_email": "ada@example.com"}
    body = {"id": name, "object": "event", "type": "invoice.paid", "created": 7}
    return json.dumps(body | {"data": {"object": thing}} | more).encode()


def signed(body: bytes, secret: str = NEW, age: float = 0) -> str:
    at = int(time.time() - age)
    return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)


def test_an_event_is_stored_once_whichever_secret_signed_it(receiver: Receiver) -> None:
    body = event()
    for secret in (OLD, NEW, NEW):
        assert receiver.send(body, signed(body, secret)) == 200
    # The receiver is killed right after its answer: what it answered 200 to is there.
    receiver.process.kill()
    assert receiver.stored() == ["evt_1"]
    with sqlite3.connect(receiver.home / "records" / FILE_NAME) as db:
        ((kept,),) = db.execute("select body from events").fetchall()
    assert "ada@example.com" not in kept


def test_many_at_once_are_stored_once_each(receiver: Receiver) -> None:
    bodies = [event(f"evt_{n % 25:02}") for n in range(100)]
    with ThreadPoolExecutor(20) as pool:
        statuses = set(pool.map(lambda body: receiver.send(body, signed(body)), bodies))
    assert statuses == {200}
    assert receiver.stored() == [f"evt_{n:02}" for n in range(25)]


def test_an_untrusted_webhook_leaves_no_trace(receiver: Receiver) -> None:
    body = event("evt_bad")
    other = event("evt_worse")
    header = signed(body)
    refused = {
        "no header": (body, None),
        "another secret": (body, signed(body, "whsec_mallory")),
        "another body": (other, header),
        "a byte more": (body + b" ", header),
        "an old one again": (body, signed(body, age=301)),
        "another time": (body, header.replace("t=1", "t=2")),
        "a test scheme": (body, header.replace("v1=", "v0=")),
        "no time": (body, header.split(",")[1]),
        "two times": (body, f"t=1,{header}"),
        "nonsense": (body, "t=x,v1=y"),
        "letters that are not ASCII": (body, header.split(",")[0] + ",v1=\u00e9"),
        "an empty secret": (body, signed(body, "")),
        "no text": (b"\xff" + body, header),
    }
    for case, (sent, signature) in refused.items():
        assert receiver.send(sent, signature) == 400, case
    large = event("evt_large", pad="x" * MAX_BODY_BYTES)
    assert receiver.send(large, signed(large)) == 413
    assert receiver.send(body, header, "GET") == 405
    assert receiver.send(body, header, path="/") == 404
    assert receiver.stored() == []
    files = [path for path in receiver.home.rglob("*") if path.is_file()]
    assert files and not any(b"evt_" in path.read_bytes() for path in files)


def test_a_body_without_a_length_is_cut_off(receiver: Receiver) -> None:
    path = urlsplit(receiver.address).path
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    ).encode()
    chunk = b"%x\r\n" % MAX_BODY_BYTES + b"x" * MAX_BODY_BYTES + b"\r\n"
    assert b" 413 " in receiver.raw(head + chunk + b"1\r\nx\r\n0\r\n\r\n")
    assert receiver.stored() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 200_000,
        b'{"object": "invoice", "id": "in_1"}',
        b'{"object": "event", "id": 1, "type": "a", "created": 1, "data": {"object": {}}}',
        b'{"object": "event", "id": "e", "type": "a", "created": "1", "data": {"object": {}}}',
        b'{"object": "event", "id": "e", "type": "a", "created": true, "data": {"object": {}}}',
        b'{"object": "event", "id": "e", "type": "a", "created": 1, "data": []}',
    ],
)
def test_a_signed_body_that_is_not_an_event_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidEventError):
        read_event(body)


def test_a_malformed_body_gets_400(receiver: Receiver) -> None:
    for body in (b"{", b"[" * 100_000):
        assert receiver.send(body, signed(body)) == 400
    assert receiver.stored() == []


def test_shapes_that_nobody_expects_do_not_block_the_inbox() -> None:
    thing = {"id": 1, "object": [], "created": "x", "invoice": {"id": 1}, "metadata": [1]}
    assert read_event(event(data={"object": thing}))["data"] == {"object": {}}


def test_half_requests_keep_nobody_out(receiver: Receiver) -> None:
    """More connections than it has at once, each with half a header: the oldest make room."""
    parts = urlsplit(receiver.address)
    half = f"POST {parts.path} HTTP/1.1\r\nHost: local".encode()
    with ExitStack() as stack:
        opened = []
        for _ in range(MAX_CONNECTIONS + 100):
            connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
            opened.append(stack.enter_context(connection))
            connection.sendall(half)
        body = event()
        assert receiver.send(body, signed(body)) == 200
        assert all(was_ended(connection) for connection in opened[:100])
        assert not was_ended(opened[-1])
    assert receiver.stored() == ["evt_1"]


def was_ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_a_connection_ends_in_time(tmp_path: Path) -> None:
    """The receiver's own protocol with less patience: half a header is not waited for."""
    script = """
import billing_pipeline.collection.pull.receiver as receiver
from billing_pipeline.settings import Settings
receiver.CONNECTION_TIMEOUT_SECONDS = 0.5
receiver.serve(Settings.from_env(), "127.0.0.1", 0, lambda text: print(text, flush=True), ())
"""
    settings = environment(tmp_path, tmp_path, STRIPE_WEBHOOK_SECRET=OLD)
    with subprocess.Popen(
        [sys.executable, "-c", script], env=settings, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        parts = urlsplit(process.stdout.readline().split()[-1])
        with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: local")
            began = time.monotonic()
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
            assert 0.3 < time.monotonic() - began < 15
        process.kill()


def test_stopping_the_receiver_is_not_a_failure(receiver: Receiver) -> None:
    receiver.process.terminate()
    assert receiver.process.stdout is not None
    assert receiver.process.stdout.read() == "Stopped.\n"
    assert receiver.process.wait(timeout=10) == 0


def test_the_receiver_does_not_start_without_a_secret(tmp_path: Path) -> None:
    for secret in ("", " , "):
        done = subprocess.run(
            [sys.executable, "-m", "billing_pipeline", "webhooks", "--port", "0"],
            env=environment(tmp_path, tmp_path, STRIPE_WEBHOOK_SECRET=secret),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "STRIPE_WEBHOOK_SECRET is not set" in done.stderr.splitlines()[-1]


def test_the_secret_is_in_no_text_of_the_settings() -> None:
    settings = Settings.from_env({"STRIPE_WEBHOOK_SECRET": OLD})
    assert settings.webhook_secrets == (OLD,)
    assert OLD not in repr(settings)


def test_handled_events_are_remembered_until_stripe_cannot_resend_them(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    first = read_event(event("evt_1"))
    assert inbox.put(first, now=0.0)
    assert inbox.pending() == {"evt_1": first}
    inbox.mark_handled(["evt_1"], now=1.0)
    assert inbox.pending() == {}
    assert not inbox.put(first, now=35 * 86_400)
    inbox.mark_handled([], now=41 * 86_400)
    assert inbox.put(first, now=41 * 86_400)
    inbox.close()
