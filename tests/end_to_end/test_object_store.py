"""Data in an object store: closed, run again, late objects and a bucket that is gone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest

from billing_pipeline.intake.late_usage import ChangedInputs, late_usage
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from tests.end_to_end.commands import EXAMPLES, billing, environment, last_line
from tests.local_store import ROOT, LocalStore, local_store

pytestmark = pytest.mark.slow

DATA = EXAMPLES / "metered-api"  # CSV, Parquet and compressed JSON Lines
INPUTS = ("catalog", "accounts", "usage")
MONTH = BillingMonth(2026, 1)
CHANGED = "usage/2026-01/calls-failing-card.csv"
LATE = "usage/2026-01/calls-late.csv"
# When something was done, by which run, and what the sandbox numbers in the order in which requests
# reach it. All else must be the same, to the last cent.
RUN_COLUMNS = {
    *("run_id", "kept_at", "created_at", "finalized_at", "due_at", "next_attempt_at"),
    *("since", "oldest_unpaid_due", "document_id", "corrects_id", "known_from", "known_to"),
    "entry_id",
    *("paid_at", "issued_at", "read_at", "uncollectible_at", "payment_id", "credit_note_id"),
    *("stripe_invoice_id", "stripe_customer_id", "number", "hosted_invoice_url", "invoice_pdf"),
}


@pytest.fixture(scope="module")
def store() -> Iterator[LocalStore]:
    with local_store() as running:
        for folder in INPUTS:
            for path in (DATA / folder).rglob("*.*"):
                running.put(path.relative_to(DATA).as_posix(), path.read_bytes())
        yield running


@pytest.fixture(scope="module")
def homes(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The month closed from the store, and from the directory."""
    remote, local = (tmp_path_factory.mktemp(name) for name in ("remote", "local"))
    with ThreadPoolExecutor() as pool:
        from_store = pool.submit(in_store, store, remote, "run", str(MONTH))
        from_directory = pool.submit(billing, local, DATA, "run", str(MONTH))
    for done in (from_store.result(), from_directory.result()):
        assert done.returncode == 0, done.stderr
    return remote, local


def in_store(store: LocalStore, home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return billing(home, ROOT, *args, **store.environment)


def unnumbered(column: str) -> str:
    """The column as text, without the sandbox's number of an invoice that a sentence names."""
    return f"regexp_replace(\"{column}\"::VARCHAR, 'SB[0-9A-Z]+-', 'SB-', 'g')"


def published(home: Path) -> dict[str, list[Any]]:
    """The rows of every table, as text and without run ids and times."""
    tables = {}
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as database:
        views = "SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'"
        for (name,) in database.execute(views).fetchall():
            columns = [row[0] for row in database.execute(f"DESCRIBE {name}").fetchall()]
            kept = ", ".join(unnumbered(c) for c in columns if c not in RUN_COLUMNS)
            tables[name] = database.execute(f"SELECT {kept} FROM {name} ORDER BY ALL").fetchall()
    return tables


def test_every_table_is_that_of_the_directory(homes: tuple[Path, Path]) -> None:
    from_store, from_directory = map(published, homes)
    assert from_store.keys() == from_directory.keys()
    for name, rows in from_directory.items():
        assert from_store[name] == rows, name
    assert len(from_store["usage_files"]) == len(list((DATA / "usage/2026-01").iterdir())) == 4
    assert len(from_store["invoices"]) == 5


def test_another_run_fetches_no_usage_and_changes_nothing(
    store: LocalStore, homes: tuple[Path, Path]
) -> None:
    store.fetched.clear()
    done = in_store(store, homes[0], "run", str(MONTH), "--json")
    assert done.returncode == 0, done.stderr
    assert {row["action"] for row in json.loads(done.stdout)["plan"]} == {"unchanged"}
    assert {name.split("/")[0] for name in store.fetched} == {"catalog", "accounts"}


def late(store: LocalStore, home: Path) -> ChangedInputs | None:
    with mock.patch.dict(os.environ, store.environment):
        return late_usage(Settings.from_env(environment(home, ROOT)), MONTH)


def test_objects_that_come_late_or_change_wait_for_a_person(
    store: LocalStore, homes: tuple[Path, Path]
) -> None:
    assert late(store, homes[0]) is None
    header, first, *rest = (DATA / CHANGED).read_text(encoding="utf-8").splitlines()
    assert ",m-failing-card," in first and ": 20}" in first
    store.put(CHANGED, "\n".join([header, first.replace(": 20}", ": 90}"), *rest, ""]))
    event = 'late-1,m-startup,api_call,2026-01-20T00:00:00Z,,"{""cost_cents"": 500}"'
    store.put(LATE, f"{header}\n{event}\n")
    found = late(store, homes[0])
    assert found is not None
    assert (found.new, found.changed, found.gone) == ((LATE,), (CHANGED,), ())

    store.fetched.clear()
    done = in_store(store, homes[0], "plan", str(MONTH), "--json")
    assert done.returncode == 0, done.stderr
    waiting = [row for row in json.loads(done.stdout)["plan"] if row["state"] == "waiting"]
    assert {row["customer_id"] for row in waiting} == {"m-failing-card", "m-startup"}
    assert {name for name in store.fetched if name.startswith("usage/")} == {CHANGED, LATE}
    assert late(store, homes[0]) is None


def test_a_bucket_that_is_not_there_is_one_sentence(
    store: LocalStore, homes: tuple[Path, Path]
) -> None:
    done = billing(homes[1], "s3://of-nobody/billing", "run", str(MONTH), **store.environment)
    assert done.returncode == 1
    assert last_line(done) == (
        "the data directory: cannot be listed: s3://of-nobody/billing: "
        "The specified bucket does not exist (NoSuchBucket)"
    )
