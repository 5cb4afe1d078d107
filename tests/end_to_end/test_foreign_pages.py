"""What another site's page, open in an operator's browser, can make the browser send: each request
is refused by the real servers, and by the nginx of docs/production.md in front of them.

What belongs here: requests over HTTP and a websocket as browsers write them. What does not: a real
browser (tests/browser/test_runs.py).
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.end_to_end.commands import EXAMPLES, ROOT, environment

SECONDS = 90
EVIL = "https://evil.example"
UI, LOOK = "https://billing.example.com", "https://look.billing.example.com"
QUERY = json.dumps({"query": "{ version }"}).encode()
START = {"query": 'mutation { startSchedule(scheduleSelector: {repositoryLocationName: "x", '
         'repositoryName: "y", scheduleName: "z"}) { __typename } }'}  # fmt: skip
JSON = {"Content-Type": "application/json"}
NGINX = shutil.which("nginx")


class Answer(NamedTuple):
    status: int
    body: bytes


class Server(NamedTuple):
    """Where a server listens, the origin under which it knows itself, and its visitor's log-in."""

    port: int
    origin: str
    is_tls: bool = False
    login: str = ""

    @property
    def host(self) -> str:
        return self.origin.partition("://")[2]

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """What a request is answered; status 0 where the connection is closed instead."""
        sent = {"Host": self.host} | self._credentials() | (headers or {})
        connection = self._connection()
        try:
            connection.request(method, path, body or None, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        except HTTPException:
            return Answer(0, b"")
        finally:
            connection.close()

    def websocket(self, origin: str | None) -> int:
        """The status that a browser's request for the UI's websocket is answered."""
        headers = {
            "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(b"0" * 16).decode(),
            "Sec-WebSocket-Protocol": "graphql-ws",
        }  # fmt: skip
        return self.ask("GET", "/graphql", headers | ({"Origin": origin} if origin else {})).status

    def _credentials(self) -> dict[str, str]:
        """As a browser sends them by itself, whichever page asks."""
        coded = base64.b64encode(self.login.encode()).decode()
        return {"Authorization": f"Basic {coded}"} if self.login else {}

    def _connection(self) -> HTTPConnection:
        if not self.is_tls:
            return HTTPConnection("127.0.0.1", self.port, timeout=30)
        context = ssl._create_unverified_context()
        return HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def billing_server(folder: Path, *arguments: str) -> Iterator[Server]:
    """`billing ui`, `dashboard` or `webhooks` until the block ends."""
    settings = {"STRIPE_WEBHOOK_SECRET": "whsec_0123456789"}
    process = subprocess.Popen(
        [sys.executable, "-m", "billing_pipeline", *arguments, "--port", "0"],
        env=environment(folder / "home", EXAMPLES / "prepaid-wallet", **settings),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith("Listening on")), "")
        port = int(re.findall(r":(\d+)/", line)[0])
        yield Server(port, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def ui(folder: Path) -> Iterator[Server]:
    """One server in both of the roles that nginx shows: its log-in as a sender is what other pages
    want to use, and that it is read-only what a reader meets."""
    with billing_server(folder, "ui", "--read-only", "--url", UI, "--url", LOOK) as server:
        yield server


@pytest.fixture(scope="module")
def dashboard(folder: Path) -> Iterator[Server]:
    pytest.importorskip("marimo")
    with billing_server(folder, "dashboard", "--url", UI) as server:
        yield server


@pytest.fixture(scope="module")
def receiver(folder: Path) -> Iterator[Server]:
    with billing_server(folder, "webhooks", "--url", UI) as server:
        yield server


def nginx_configuration(folder: Path, port: int, ports: dict[str, int]) -> str:
    """The configuration of docs/production.md for this machine's ports and files."""
    [text] = re.findall(
        r"^```nginx\n(.*?)^```$", (ROOT / "docs/production.md").read_text(), re.S | re.M
    )
    for documented, found in ports.items():
        text = text.replace(f"http://127.0.0.1:{documented}", f"http://127.0.0.1:{found}")
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
    text = text.replace("/etc/ssl/billing/", f"{folder}/").replace("/etc/nginx/", f"{folder}/")
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"{'user root;' if os.geteuid() == 0 else ''}\ndaemon off;\npid {folder}/nginx.pid;\n"
        f"error_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{text}}}\n"
    )


@contextmanager
def running_nginx(folder: Path, ports: dict[str, int]) -> Iterator[int]:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "1", "-subj", "/CN=billing.example.com",
         "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    for name, login in (("senders", "ada:{PLAIN}ada"), ("readers", "grace:{PLAIN}grace")):
        (folder / f"billing-{name}.htpasswd").write_text(f"{login}\n")
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(nginx_configuration(folder, port, ports))
    assert NGINX is not None
    process = subprocess.Popen(
        [NGINX, "-c", configuration, "-p", folder, "-e", folder / "error.log"]
    )
    try:
        end = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None and time.monotonic() < end, "nginx did not start"
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def proxied(folder: Path, ui: Server, receiver: Server) -> Iterator[Server]:
    if NGINX is None:
        pytest.skip("no nginx on this machine: apt-get install nginx")
    ports = {"3000": ui.port, "3001": ui.port, "8787": receiver.port}
    with running_nginx(folder, ports) as port:
        yield Server(port, UI, is_tls=True, login="ada:ada")


def attacks(own: Server, path: str) -> dict[str, tuple[str, str, dict[str, str], bytes]]:
    """Requests that a page of another site can make a browser send, or a name that it lets point
    to this machine; `path` takes JSON."""
    link = f"{path}?query=mutation%7B__typename%7D"
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    return {
        "a name of theirs": ("GET", "/", {"Host": f"evil.example:{own.port}"}, b""),
        "a name that begins like ours": ("GET", "/", {"Host": f"{own.host}.evil.example"}, b""),
        "an image": ("GET", link, image, b""),
        "an image, of an old browser": ("GET", "/graphql?query=mutation%7Ba%7D", {}, b""),
        "a frame": ("GET", "/", image | {"Sec-Fetch-Dest": "iframe"}, b""),
        "another port of this machine": ("GET", "/", image | {"Sec-Fetch-Site": "same-site"}, b""),
        "a script that reads": ("GET", "/", {"Origin": EVIL}, b""),
        "a page without origin": ("POST", path, JSON | {"Origin": "null"}, QUERY),
        "a form": ("POST", path, {"Content-Type": "text/plain", "Origin": EVIL}, QUERY),
        "a form, of an old browser": ("POST", path, {"Content-Type": "text/plain"}, QUERY),
        "their script": ("POST", path, JSON | {"Origin": EVIL}, QUERY),
        "their script over http": (
            *("POST", path, JSON | {"Origin": own.origin.replace("https:", "ftp:") + "0"}, QUERY),
        ),
        "the question whether it may": (
            "OPTIONS", path,
            {"Origin": EVIL, "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "content-type"}, b"",
        ),
        "our page's form": (
            *("POST", path, {"Content-Type": "text/plain", "Origin": own.origin}, QUERY),
        ),
        "JSON in name only": (
            *("POST", path),
            {"Content-Type": "text/plain; application/json", "Origin": own.origin}, QUERY,
        ),
        "a query as text": (
            *("POST", path, {"Content-Type": "application/graphql", "Origin": own.origin}),
            b"{ version }",
        ),
    }  # fmt: skip


def refuse_all(server: Server, path: str) -> None:
    for case, (method, place, headers, body) in attacks(server, path).items():
        answer = server.ask(method, place, headers, body)
        # 0: nginx closes; 400: TrustedHostMiddleware. In none of them anything of ours is said.
        assert answer.status in (0, 400, 403, 405, 415), (case, answer)
        assert len(answer.body) < 200, (case, answer)


def test_the_dagster_ui_answers_its_own_pages_only(ui: Server) -> None:
    own = JSON | {"Origin": ui.origin, "Sec-Fetch-Site": "same-origin"}
    assert json.loads(ui.ask("POST", "/graphql", own, QUERY).body)["data"]["version"]
    by_name = {"Host": f"localhost:{ui.port}", "Origin": f"http://localhost:{ui.port}"}
    assert ui.ask("POST", "/graphql", JSON | by_name, QUERY).status == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert ui.ask("GET", "/runs", link).status == 200  # a link in a notice
    assert ui.ask("GET", "/server_info").status == 200
    assert ui.websocket(ui.origin) == 101

    refuse_all(ui, "/graphql")
    refuse_all(ui, "/report_asset_materialization/invoices")
    assert [ui.websocket(origin) for origin in (EVIL, "null", None)] == [403] * 3


def test_two_hosts_in_one_request_are_refused(ui: Server) -> None:
    with socket.create_connection(("127.0.0.1", ui.port), timeout=30) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {ui.host}\r\nHost: evil\r\n\r\n".encode())
        assert b" 400 " in connection.recv(100)


def test_answers_cannot_be_framed_or_embedded(ui: Server, dashboard: Server) -> None:
    for server in (ui, dashboard):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", "/")
        headers = connection.getresponse().headers
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        connection.close()


def test_a_read_only_user_starts_nothing(ui: Server) -> None:
    answer = ui.ask(
        "POST", "/graphql", JSON | {"Origin": ui.origin}, json.dumps(START).encode()
    )  # fmt: skip
    assert json.loads(answer.body)["data"]["startSchedule"]["__typename"] == "UnauthorizedError"


def test_the_dashboard_answers_its_own_pages_only(dashboard: Server) -> None:
    assert dashboard.ask("GET", "/").status == 200
    refuse_all(dashboard, "/api/kernel/set_ui_element_value")
    assert dashboard.ask("GET", "/ws", {"Origin": EVIL}).status == 403


def test_the_receiver_answers_no_page(receiver: Server) -> None:
    assert receiver.ask("GET", "/health") == (200, b"listening\n")
    for case, (method, _, headers, body) in attacks(receiver, "").items():
        answer = receiver.ask(method, "/stripe/webhooks", headers, body)
        assert answer.status in (400, 403, 405, 415), (case, answer)
    assert receiver.ask("POST", "/stripe/webhooks", JSON, QUERY).status == 400  # not signed


def test_the_production_example_is_used_by_no_other_page(proxied: Server) -> None:
    own = JSON | {"Origin": UI, "Sec-Fetch-Site": "same-origin"}
    assert proxied.ask("POST", "/graphql", own, QUERY).status == 200
    assert proxied._replace(login="").ask("POST", "/graphql", own, QUERY).status == 401
    assert proxied._replace(login="grace:grace").ask("GET", "/").status == 401
    assert proxied.websocket(UI) == 101

    refuse_all(proxied, "/graphql")
    assert [proxied.websocket(origin) for origin in (EVIL, "null", None)] == [403] * 3
    reader = proxied._replace(origin=LOOK, login="grace:grace")
    assert reader.ask("GET", "/").status == 200
    assert reader._replace(login="ada:ada").ask("GET", "/").status == 401
    refuse_all(reader, "/graphql")


def test_stripes_requests_come_through_the_production_example(proxied: Server) -> None:
    nobody = proxied._replace(login="")
    assert nobody.ask("POST", "/stripe/webhooks", JSON, QUERY).status == 400  # not signed
    assert nobody.ask("POST", "/stripe/webhooks", JSON, b"x" * 600_000).status == 413
    assert nobody.ask("POST", "/stripe/webhooks", JSON | {"Origin": EVIL}, QUERY).status == 403
