"""Keys and secrets are in no file and no output of a run, even if requests fail."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess

import duckdb
import pytest

from billing_pipeline.stripe_sandbox import running_sandbox
from tests.end_to_end.commands import EXAMPLES, billing, billing_by_dbt

KEY = f"sk_test_51{secrets.token_hex(40)}"
WEBHOOK_SECRET = f"whsec_{secrets.token_hex(24)}"
# Of a masked key Stripe shows the end.
SECRETS = [KEY[12:], KEY[-10:], WEBHOOK_SECRET[8:]]
MONTH = "2026-01"


class Unkind(BaseHTTPRequestHandler):
    """Answers every request with an error that quotes the request."""

    status, body = 401, b""

    def do_GET(self) -> None:
        key = self.headers["Authorization"].removeprefix("Bearer ").encode()
        masked = key[:8] + b"*" * 60 + key[-10:]
        body = self.body.replace(b"KEY", key).replace(b"MASKED", masked)
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def unkind(status: int, body: bytes) -> Iterator[str]:
    handler = type("Handler", (Unkind,), {"status": status, "body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ANSWERS = {
    "an invalid key": (401, b'{"error": {"message": "Invalid API Key provided: KEY"}}'),
    "no permission": (403, b'{"error": {"message": "The provided key MASKED lacks it"}}'),
    "a proxy": (400, b"<html>Bad request: Authorization: Bearer KEY, key=MASKED</html>"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home after a month was billed and further runs failed, and all that was printed."""
    home = tmp_path_factory.mktemp("secrets") / "home"
    printed = []

    def run(base: str, *args: str, by: Callable[..., CompletedProcess[str]] = billing) -> int:
        done = by(
            *(home, EXAMPLES / "metered-api", "--verbose", *args),
            STRIPE_API_KEY=KEY, STRIPE_API_BASE=base, STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET,
        )  # fmt: skip
        printed.append(done.stdout + done.stderr)
        return done.returncode

    with running_sandbox(home.parent / "stripe") as stripe:
        assert run(stripe, "run", MONTH, by=billing_by_dbt) == 0, printed
    for status, body in ANSWERS.values():
        with unkind(status, body) as base:
            assert run(base, "pull", MONTH) == 1
    with unkind(*ANSWERS["an invalid key"]) as base:
        assert run(base, "run", MONTH, "--json") == 1
    return home, "".join(printed)


def texts_of(path: Path) -> Iterator[bytes]:
    """A file's bytes, and the bytes compressed in it."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield str(duckdb.sql(f"FROM '{path}'").fetchall()).encode()
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as warehouse:
            tables = warehouse.execute(
                "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal"
            ).fetchall()
            for schema, table in tables:
                rows = warehouse.execute(f'FROM "{schema}"."{table}"').fetchall()
                yield str(rows).encode()
    with suppress(sqlite3.DatabaseError), sqlite3.connect(path) as db:
        tables = [
            row[0] for row in db.execute("select name from sqlite_master where type = 'table'")
        ]
        for value in (v for t in tables for row in db.execute(f'select * from "{t}"') for v in row):
            if isinstance(value, bytes):
                with suppress(zlib.error):
                    yield zlib.decompress(value)
            yield str(value).encode()


@pytest.mark.slow
def test_no_file_holds_a_secret(written: tuple[Path, str]) -> None:
    home, _ = written
    files = [path for path in home.rglob("*") if path.is_file()]
    kinds = {path.suffix for path in files}
    assert {".db", ".duckdb", ".parquet", ".json", ".sql"} <= kinds
    found = {
        str(path.relative_to(home))
        for path in files
        for text in texts_of(path)
        for secret in SECRETS
        if secret.encode() in text
    }
    assert found == set()


@pytest.mark.slow
def test_nothing_that_is_printed_holds_a_secret(written: tuple[Path, str]) -> None:
    _, printed = written
    assert "Invalid API Key provided" in printed
    assert not [secret for secret in SECRETS if secret in printed]


def test_the_search_would_find_one(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("create table t (x)")
        db.execute("insert into t values (?)", [zlib.compress(KEY.encode())])
    with duckdb.connect(str(tmp_path / "b.duckdb")) as warehouse:
        warehouse.execute("CREATE TABLE t AS SELECT ? AS x FROM range(10000)", [KEY])
        warehouse.execute(f"COPY t TO '{tmp_path / 'c.parquet'}'")
    for name in ("a.db", "b.duckdb", "c.parquet"):
        assert any(KEY.encode() in text for text in texts_of(tmp_path / name)), name
