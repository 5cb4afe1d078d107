"""``python -m tests.clients``: real clients sync the demo's account from the sandbox, and what they
got is compared with the account and with the published tables.

What belongs here: an environment for each client, and the comparison. What does not: the clients'
own code (`scripts/`), which prints each object that it got as one line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import stripe

from billing_pipeline.money import to_major
from billing_pipeline.stripe_sandbox import Sandbox
from billing_pipeline.stripe_sandbox.others import add_others, is_third_party
from billing_pipeline.stripe_sandbox.server import FILE_NAME, running_sandbox
from tests.in_process import InProcessClient

SCRIPTS = Path(__file__).parent / "scripts"
ENVIRONMENTS = Path(".venv-clients")
Json = dict[str, Any]
DATABASE = "billing.duckdb"
KEY = "sk_test_sandbox"
SECONDS = 600
PAGED_OBJECTS = (
    "charge",
    "credit_note",
    "customer",
    "invoice",
    "payment_intent",
    "product",
    "refund",
)


TAP = ("balance_transaction", "charge", "customer", "invoice", "payment_intent", "product")
AIRBYTE = ("airbyte-source-stripe==5.14.1",)
ENGINE = ("@supabase/stripe-sync-engine@0.48.5", "pg@8", "stripe@23.1.0")


class Client(NamedTuple):
    """A program that syncs Stripe: what it is installed from, and the kinds of objects it reads."""

    name: str
    script: str
    packages: tuple[str, ...]
    kinds: tuple[str, ...] = PAGED_OBJECTS
    needs_postgres: bool = False
    python: str = ""
    """The version of Python without which it does not install; empty: ours."""


CLIENTS = (
    Client("stripe-node", "node.mjs", ("stripe@23.1.0",), (*PAGED_OBJECTS, "balance_transaction")),
    Client("dlt", "dlt_load.py", ("dlt[duckdb]==1.31.0",), (*PAGED_OBJECTS, "balance_transaction")),
    Client(
        "airbyte",
        "airbyte_read.py",
        AIRBYTE,
        (*PAGED_OBJECTS, "balance_transaction"),
        python="3.11",
    ),
    Client("tap-stripe", "tap_stripe_sync.py", ("tap-stripe==3.3.0",), TAP),
    Client("stripe-sync-engine", "sync_engine.mjs", ENGINE, needs_postgres=True),
)


class NotInstalledError(Exception):
    """The client cannot be tried here; the message says why."""


def main(home: Path, names: Sequence[str]) -> int:
    """0: each client that installs has got all; 1: some has not; 2: there is nothing to sync."""
    if not (home / "published" / DATABASE).exists():
        print(f"{home} has no closed month: run make demo first, or name another home.")
        return 2
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        # A copy: the sandbox of the demo stays as it is.
        shutil.copytree(home / "sandbox", Path(folder) / "sandbox")
        fill(Path(folder) / "sandbox" / FILE_NAME)
        account = objects_of(Path(folder) / "sandbox" / FILE_NAME)
        with running_sandbox(Path(folder) / "sandbox") as base:
            for client in CLIENTS:
                if names and client.name not in names:
                    continue
                try:
                    got = sync(client, base, Path(folder))
                except NotInstalledError as error:
                    print(f"{client.name}: skipped, for it cannot be installed here: {error}")
                    continue
                found = list(differences(client, got, account, billed(home)))
                print(f"{client.name}: {in_words(client, got)}")
                print(*(f"  {text}" for text in found), sep="\n", end="\n" if found else "")
                failed += [client.name] if found else []
    return 1 if failed else 0


OBJECT_COUNT = 101


def fill(path: Path) -> None:
    """Let others do so much in the account that every list takes more than a page."""
    sandbox = Sandbox(path)
    client = stripe.StripeClient(KEY, http_client=InProcessClient(sandbox)).v1
    now = sandbox.clock()
    with sandbox._store.transaction(write=True):
        for number in range(OBJECT_COUNT):
            add_others(sandbox._store, now - number)
    for charge in _of_others(client.charges.list({"limit": 100})):
        client.refunds.create({"charge": charge, "amount": 1})
    for invoice in _of_others(client.invoices.list({"limit": 100, "status": "paid"})):
        client.credit_notes.create({"invoice": invoice, "amount": 1, "credit_amount": 1})
    sandbox.close()


def _of_others(listed: stripe.ListObject[Any]) -> list[str]:
    names = (item.id for item in listed.auto_paging_iter() if is_third_party(item.id))
    return list(itertools.islice(names, OBJECT_COUNT))


def in_words(client: Client, got: Sequence[Json]) -> str:
    counts = Counter(item["kind"] for item in got)
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in client.kinds)


def objects_of(path: Path) -> dict[str, set[str]]:
    """The ids of all that the account holds, by kind; what was deleted is in no list."""
    with sqlite3.connect(path) as state:
        rows = state.execute(
            "select kind, id from objects where json_extract(body, '$.deleted') is not 1"
        ).fetchall()
    return {kind: {name for of, name in rows if of == kind} for kind, _ in rows}


Billed = dict[str, dict[str, tuple[str, Decimal]]]
"""Currency and amount of what is published, by kind and id."""


def billed(home: Path) -> Billed:
    queries = {
        "invoice": "SELECT stripe_invoice_id, currency, total FROM stripe_invoices",
        "charge": "SELECT payment_id, currency, amount FROM payments"
        " WHERE kind = 'payment' AND payment_id LIKE 'ch_%'",
    }
    with duckdb.connect(str(home / "published" / DATABASE), read_only=True) as published:
        return {
            kind: {name: (code, amount) for name, code, amount in published.sql(text).fetchall()}
            for kind, text in queries.items()
        }


def differences(
    client: Client, got: Sequence[Json], account: dict[str, set[str]], published: Billed
) -> Iterator[str]:
    """A sentence for each thing that the client has not, has twice, or has otherwise."""
    for kind in client.kinds:
        items = [item for item in got if item["kind"] == kind]
        names, expected = Counter(item["id"] for item in items), account.get(kind, set())
        if set(names) != expected or max(names.values(), default=1) > 1:
            lacking = len(expected - set(names))
            yield f"{kind}: {len(items)} rows of {len(expected)} objects, {lacking} missing"
        have = {item["id"]: _money(item) for item in items if kind in published}
        rows = published.get(kind, {})
        if wrong := {name for name, money in rows.items() if have.get(name) != money}:
            yield f"{kind}: {len(wrong)} of {len(rows)} published rows differ, such as {min(wrong)}"
    marked = {item["id"] for item in got if item["kind"] == "invoice" and item["ours"]}
    if marked != set(published["invoice"]):
        yield f"{len(marked)} invoices have our mark, {len(published['invoice'])} are published"


def _money(item: Json) -> tuple[str, Decimal]:
    code = str(item["currency"]).upper()
    return code, to_major(int(item["amount"]), code)


# Environments.
def sync(client: Client, base: str, folder: Path) -> list[Json]:
    """Install the client, and let it read everything. Raises `NotInstalledError`."""
    place = (ENVIRONMENTS / client.name).absolute()
    command = _of_node(client, place) if client.script.endswith(".mjs") else _of_pip(client, place)
    work = folder / client.name
    work.mkdir()
    with postgres(work) if client.needs_postgres else nullcontext("") as database:
        arguments = [*command, str(work), base, KEY, database]
        # Of the output, the lines of objects count: some clients write of themselves as well.
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, cwd=work)
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
    lines = (line for line in done.stdout.splitlines() if line.startswith('{"kind"'))
    return [json.loads(line) for line in lines]


def _of_node(client: Client, place: Path) -> list[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotInstalledError("it needs node and npm")
    place.mkdir(parents=True, exist_ok=True)
    # Where the packages are found is decided by where the script lies.
    shutil.copy(SCRIPTS / client.script, place)
    _install(place, [npm, "install", "--silent", "--prefix", str(place), *client.packages])
    return [node, str(place / client.script)]


def _of_pip(client: Client, place: Path) -> list[str]:
    python = str(place / "bin" / "python")
    if not Path(python).exists():
        own = f"python{client.python}" if client.python else sys.executable
        if shutil.which(own) is None:
            raise NotInstalledError(f"it needs Python {client.python}")
        _install(place / "none", [own, "-m", "venv", str(place)])
    _install(place, [python, "-m", "pip", "install", "--quiet", *client.packages])
    return [python, str(SCRIPTS / client.script)]


def _install(place: Path, command: list[str]) -> None:
    """Once: a note says that it was done."""
    note = place / ".installed"
    if note.exists() and note.read_text(encoding="utf-8") == " ".join(command):
        return
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode:
        raise NotInstalledError((done.stderr.strip().splitlines() or ["it gave no reason"])[-1])
    if place.exists():
        note.write_text(" ".join(command), encoding="utf-8")


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server of PostgreSQL for one client; yields its address."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        raise NotInstalledError("it needs PostgreSQL")
    bin_dir, data = found[-1], folder / "postgres"
    # PostgreSQL refuses to run as root.
    other = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    data.mkdir()
    if other:
        shutil.chown(data, **other)
        for parent in (folder, folder.parent):
            parent.chmod(0o755)
    control = [str(bin_dir / "pg_ctl"), "-D", str(data), "-w"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    run = {"capture_output": True, "check": True, "cwd": data, **other}
    subprocess.run([str(bin_dir / "initdb"), "-U", "postgres", "-A", "trust", str(data)], **run)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data}"
    started = {**run, "capture_output": False, "stdout": subprocess.DEVNULL}
    subprocess.run([*control, "-o", options, "start"], **started)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], **run)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Real clients of Stripe against the sandbox.")
    parser.add_argument("names", nargs="*", help="of the clients; none: all")
    parser.add_argument("--home", type=Path, default=Path(".billing"), help="with closed months")
    given = parser.parse_args()
    sys.exit(main(given.home.absolute(), given.names))
