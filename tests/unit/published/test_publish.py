"""Publishing: what readers see before, while and after."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.published import manifest
from billing_pipeline.published.manifest import PublishError
from billing_pipeline.published.publish import publish, publish_rows
from billing_pipeline.published.reading import NotPublishedError, database_path, open_published
from billing_pipeline.published.tables import published_tables
from billing_pipeline.settings import Settings
from tests.unit.published.conftest import FEBRUARY, JANUARY, make_warehouse


def ask(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with open_published(settings) as connection:
        return connection.execute(query).fetchall()


def counts(settings: Settings) -> dict[str, int]:
    found = ask(
        settings, "SELECT strftime(billing_month, '%Y-%m'), count(*) FROM invoices GROUP BY 1"
    )
    return {str(month): int(count) for month, count in found}


def test_two_months_are_published_together_with_exact_decimals(settings: Settings) -> None:
    make_warehouse(settings, JANUARY, count=2)
    make_warehouse(settings, FEBRUARY, count=3)
    publish(settings, JANUARY)
    publish(settings, FEBRUARY)
    assert counts(settings) == {"2024-01": 2, "2024-02": 3}
    total, kind = ask(settings, "SELECT total, typeof(total) FROM invoices LIMIT 1")[0]
    assert total == Decimal("12345678901234567890.1234")
    assert kind == "DECIMAL(38,4)"


def test_every_table_of_the_contract_exists_from_the_first_month_on(settings: Settings) -> None:
    make_warehouse(settings, JANUARY)
    publish(settings, JANUARY)
    tables = {row[0] for row in ask(settings, "SELECT view_name FROM duckdb_views()")}
    published = published_tables(settings)
    assert {*published.tables, *published.reports} <= tables
    for name, table in published.sources["collection"].items():
        described = ask(settings, f"DESCRIBE {name}")
        assert [row[:2] for row in described] == [(c.name, c.type) for c in table.columns]
        assert ask(settings, f"SELECT count(*) FROM {name}") == [(0,)]


def test_rows_from_python_keep_their_types(settings: Settings) -> None:
    make_warehouse(settings, JANUARY)
    moment = datetime(2024, 2, 1, 12, 30, tzinfo=UTC)
    row = {"invoice_id": "in_0", "total": Decimal("0.1"), "revision": 1, "finalized_at": moment}
    publish(settings, JANUARY, {"stripe_invoices": [row], "reconciliation": []})
    assert ask(
        settings,
        "SELECT billing_month, invoice_id, total, revision, finalized_at, number"
        " FROM stripe_invoices",
    ) == [(date(2024, 1, 1), "in_0", Decimal("0.1000"), 1, moment, None)]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"totall": 1}, "has no column totall"),
        ({"billing_month": date(2024, 2, 1)}, "is of 2024-02-01, not of 2024-01"),
        ({"expected_total": 0.1}, "does not fit reconciliation"),
        ({"expected_total": Decimal("0.00001")}, "does not fit reconciliation"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    settings: Settings, row: dict[str, object], problem: str
) -> None:
    make_warehouse(settings, JANUARY)
    with pytest.raises(PublishError, match=problem):
        publish(settings, JANUARY, {"reconciliation": [row]})
    assert not database_path(settings).exists()


def test_a_table_that_is_not_passed_stays_as_it_was(settings: Settings) -> None:
    make_warehouse(settings, JANUARY)
    publish(settings, JANUARY, {"reconciliation": [{"invoice_id": "in_0"}]})
    publish(settings, JANUARY, {"stripe_invoices": []})
    assert ask(settings, "SELECT invoice_id FROM reconciliation") == [("in_0",)]
    publish(settings, JANUARY, {"reconciliation": []})
    assert ask(settings, "SELECT invoice_id FROM reconciliation") == []


def test_rows_alone_leave_the_charges_as_published(settings: Settings) -> None:
    make_warehouse(settings, JANUARY, count=2)
    publish(settings, JANUARY)
    make_warehouse(settings, JANUARY, count=7)  # rated anew, not published
    publish_rows(settings, JANUARY, {"reconciliation": [{"invoice_id": "in_0"}]})
    assert counts(settings) == {"2024-01": 2}
    assert ask(settings, "SELECT invoice_id FROM reconciliation") == [("in_0",)]


def test_publishing_again_replaces_the_month_alone(settings: Settings) -> None:
    make_warehouse(settings, JANUARY, count=2)
    make_warehouse(settings, FEBRUARY, count=3)
    publish(settings, JANUARY)
    publish(settings, FEBRUARY)
    make_warehouse(settings, JANUARY, count=5)
    publish(settings, JANUARY)
    assert counts(settings) == {"2024-01": 5, "2024-02": 3}


def test_a_month_of_an_older_release_shows_null_in_a_new_column(settings: Settings) -> None:
    make_warehouse(settings, JANUARY)
    make_warehouse(settings, FEBRUARY, more=", 'vat' AS tax_kind")
    publish(settings, FEBRUARY)
    publish(settings, JANUARY)
    assert ask(settings, "SELECT DISTINCT billing_month, tax_kind FROM invoices ORDER BY 1") == [
        (date(2024, 1, 1), None),
        (date(2024, 2, 1), "vat"),
    ]


def test_a_manifest_of_an_older_release_is_read_on(settings: Settings) -> None:
    make_warehouse(settings, JANUARY, count=2)
    publish(settings, JANUARY)
    path = settings.published_dir / "manifest.json"
    manifest = json.loads(path.read_text())
    layouts = manifest.pop("layouts")
    for entry in manifest["months"]["2024-01"].values():
        entry["columns"] = layouts[entry.pop("layout")]
    path.write_text(json.dumps({**manifest, "format": 1}))
    make_warehouse(settings, FEBRUARY, count=3)
    publish(settings, FEBRUARY)
    assert counts(settings) == {"2024-01": 2, "2024-02": 3}
    assert sorted(layouts) == sorted(json.loads(path.read_text())["layouts"])


def test_an_open_reader_keeps_seeing_its_state(settings: Settings) -> None:
    make_warehouse(settings, JANUARY, count=2)
    publish(settings, JANUARY)
    with open_published(settings) as reader:
        make_warehouse(settings, JANUARY, count=5)
        publish(settings, JANUARY)
        assert reader.execute("SELECT count(*) FROM invoices").fetchall() == [(2,)]
        # In the same process: a new connection is not the instance that is still open.
        assert counts(settings) == {"2024-01": 5}


def test_the_published_database_cannot_be_written(settings: Settings) -> None:
    make_warehouse(settings, JANUARY)
    publish(settings, JANUARY)
    with open_published(settings) as reader, pytest.raises(duckdb.Error, match="read-only"):
        reader.execute("CREATE TABLE mine (a INTEGER)")


def test_older_releases_of_duckdb_can_open_it(settings: Settings) -> None:
    make_warehouse(settings, JANUARY)
    publish(settings, JANUARY)
    # After a checksum of 8 bytes and "DUCK" the file says its version; 64 is read from 0.9.2 on.
    header = database_path(settings).read_bytes()[8:20]
    assert (header[:4], int.from_bytes(header[4:], "little")) == (b"DUCK", 64)
    # DuckDB 1.1 takes a part of a query for recursive that has the name of the table in it.
    for name, report in published_tables(settings).reports.items():
        assert not re.search(SELF_REFERENCE, report.query), name


SELF_REFERENCE = re.compile(
    r"^(\w+) as \((?:.*|\n(?:(?!\)).*\n)*?.*)\b(?:from|join) \1\b", re.MULTILINE | re.IGNORECASE
)


READER = """
import sys, duckdb
path, until = sys.argv[1:]
seen, reads = set(), 0
print("ready", flush=True)
while until not in {str(n) for n, _ in seen}:
    with duckdb.connect(path, read_only=True) as connection:
        seen.add(connection.execute(
            "SELECT count(*), count(DISTINCT total) FROM invoices").fetchall()[0])
    reads += 1
print(sorted(seen))
"""


def test_another_process_sees_the_month_before_or_after_and_never_between(
    settings: Settings,
) -> None:
    make_warehouse(settings, JANUARY, count=100, total="1")
    publish(settings, JANUARY)
    command = [sys.executable, "-c", READER, str(database_path(settings)), "200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for count in (120, 140, 160, 200):
            make_warehouse(settings, JANUARY, count=count, total=str(count))
            publish(settings, JANUARY)
        output = reader.communicate(timeout=60)[0]
    seen = json.loads(output.replace("(", "[").replace(")", "]"))
    assert reader.returncode == 0
    assert {count for count, _ in seen} <= {100, 120, 140, 160, 200}
    assert {totals for _, totals in seen} == {1}


@pytest.mark.parametrize(
    "step",
    [
        "publish._make_durable",
        "publish.build_database",
        "manifest.Manifest.write",
        "publish._swap",
        "publish.export_month_rows",
    ],
)
def test_a_crash_while_publishing_keeps_the_old_state(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    make_warehouse(settings, JANUARY, count=2)
    publish(settings, JANUARY)
    make_warehouse(settings, JANUARY, count=5)

    def crash(*_args: object, **_named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"billing_pipeline.published.{step}", crash)
        with pytest.raises(KeyboardInterrupt):
            publish(settings, JANUARY, {"reconciliation": []})
    assert counts(settings) == {"2024-01": 2}
    publish(settings, JANUARY)
    assert counts(settings) == {"2024-01": 5}


def test_a_process_killed_while_publishing_leaves_no_lock(settings: Settings) -> None:
    make_warehouse(settings, JANUARY, count=2)
    script = (
        "import os, signal\n"
        "from billing_pipeline.published import publish\n"
        "from billing_pipeline.settings import Settings\n"
        "from billing_pipeline.months import BillingMonth\n"
        "publish._swap = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "publish.publish(Settings.from_env(), BillingMonth(2024, 1))\n"
    )
    environment = os.environ | {"BILLING_HOME": str(settings.home)}
    assert subprocess.run([sys.executable, "-c", script], env=environment).returncode == -9
    with pytest.raises(NotPublishedError):
        open_published(settings)
    publish(settings, JANUARY)
    assert counts(settings) == {"2024-01": 2}


def test_an_unfinished_warehouse_is_not_published(settings: Settings) -> None:
    make_warehouse(settings, JANUARY, count=2)
    publish(settings, JANUARY)
    with duckdb.connect(str(settings.warehouse_path(JANUARY))) as connection:
        connection.execute("DROP TABLE charges")
    with pytest.raises(PublishError, match="lacks charges: rate the month first"):
        publish(settings, JANUARY)
    with pytest.raises(PublishError, match="2024-02 has no warehouse"):
        publish(settings, FEBRUARY)
    assert counts(settings) == {"2024-01": 2}


def parquet_files(settings: Settings) -> set[Path]:
    return set(settings.published_dir.rglob("*.parquet"))


def test_replaced_files_stay_a_day_and_are_then_collected(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_warehouse(settings, JANUARY)
    publish(settings, JANUARY, {"reconciliation": [{"invoice_id": "in_0"}]})
    first = parquet_files(settings)
    publish(settings, JANUARY)
    assert first <= parquet_files(settings)

    abandoned = settings.published_dir / "months" / "2024-01" / "crashed" / "invoices.parquet"
    abandoned.parent.mkdir()
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (time.time(), time.time()))
    tomorrow = time.time() + manifest.KEEP_REPLACED_SECONDS + 60
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    publish(settings, JANUARY)
    left = parquet_files(settings)
    assert not abandoned.parent.exists()
    assert {path.name for path in first & left} == {"reconciliation.parquet"}
    assert counts(settings) == {"2024-01": 2}
    assert ask(settings, "SELECT invoice_id FROM reconciliation") == [("in_0",)]


def test_after_a_crash_at_the_swap_replaced_files_stay_for_their_readers(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_warehouse(settings, JANUARY, count=2)
    publish(settings, JANUARY)

    def crash(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("billing_pipeline.published.publish._swap", crash)
        with pytest.raises(KeyboardInterrupt):
            publish(settings, JANUARY)
    later = time.time() + 3 * manifest.KEEP_REPLACED_SECONDS
    monkeypatch.setattr(time, "time", lambda: later)
    with open_published(settings) as reader:
        publish(settings, JANUARY)
        assert reader.execute("SELECT count(*) FROM invoices").fetchall() == [(2,)]


def test_descriptions_of_dbt_become_comments(settings: Settings) -> None:
    make_warehouse(settings, JANUARY)
    publish(settings, JANUARY)
    described = published_tables(settings).models["invoices"]
    assert ask(settings, "SELECT comment FROM duckdb_views() WHERE view_name = 'invoices'") == [
        (described.comment,)
    ]
    total = next(column for column in described.columns if column.name == "total")
    assert ask(
        settings,
        "SELECT comment FROM duckdb_columns()"
        " WHERE table_name = 'invoices' AND column_name = 'total'",
    ) == [(total.comment,)]


def test_a_table_that_no_month_has_is_there_and_empty(settings: Settings) -> None:
    """As where only the running month was estimated, or a release has brought a new table."""
    make_warehouse(settings, JANUARY)
    with duckdb.connect(str(settings.warehouse_path(JANUARY))) as connection:
        connection.execute("DROP TABLE charges")
    with pytest.raises(PublishError, match="charges"):
        publish(settings, JANUARY)
    publish_rows(settings, JANUARY, {"invoice_plan": []})
    found = ask(settings, "SELECT column_name, column_type FROM (DESCRIBE charges)")
    declared = published_tables(settings).models["charges"].columns
    assert found == [(column.name, column.type) for column in declared]
    assert ask(settings, "SELECT count(*) FROM charges") == [(0,)]
    assert ask(settings, "SELECT count(*) FROM months") == [(0,)]


def test_a_column_that_no_month_has_is_there_and_empty(settings: Settings) -> None:
    """As after a release that has brought one, until the next publication of the table."""
    publish_rows(settings, JANUARY, {"reconciliation": [{"invoice_id": "in_0"}]})
    manifest = settings.published_dir / "manifest.json"
    known = json.loads(manifest.read_text())
    for layout in known["layouts"]:
        layout[:] = [column for column in layout if column[0] != "charged"]
    manifest.write_text(json.dumps(known))
    publish_rows(settings, FEBRUARY, {"invoice_plan": []})
    asked = "SELECT invoice_id, charged FROM reconciliation"
    assert ask(settings, asked) == [("in_0", None)]


def test_files_without_rows_are_not_opened_by_queries(settings: Settings) -> None:
    publish_rows(settings, JANUARY, {"reconciliation": [{"invoice_id": "in_0"}]})
    publish_rows(settings, FEBRUARY, {"reconciliation": []})
    view = "SELECT sql FROM duckdb_views() WHERE view_name = 'reconciliation'"
    [[query]] = ask(settings, view)
    assert ("2024-01" in query, "2024-02" in query) == (True, False)
    publish_rows(settings, JANUARY, {"reconciliation": []})
    assert ask(settings, "SELECT invoice_id, charged FROM reconciliation") == []
    publish_rows(settings, FEBRUARY, {"reconciliation": [{"invoice_id": "in_1"}]})
    assert ask(settings, "SELECT invoice_id FROM reconciliation") == [("in_1",)]


def test_columns_have_the_order_of_this_release_where_only_older_months_have_rows(
    settings: Settings,
) -> None:
    publish_rows(settings, JANUARY, {"reconciliation": [{"invoice_id": "in_0"}]})
    order = [row[0] for row in ask(settings, "DESCRIBE reconciliation")]
    manifest = settings.published_dir / "manifest.json"
    known = json.loads(manifest.read_text())
    for layout in known["layouts"]:
        layout[:] = layout[::-1]
    manifest.write_text(json.dumps(known))
    publish_rows(settings, FEBRUARY, {"reconciliation": []})
    assert [row[0] for row in ask(settings, "DESCRIBE reconciliation")] == order


def test_a_damaged_database_is_rebuilt_by_the_next_publication(settings: Settings) -> None:
    make_warehouse(settings, JANUARY, count=2)
    publish(settings, JANUARY)
    database_path(settings).write_bytes(b"no database" * 1000)
    with pytest.raises(PublishError, match="rebuilt by the next run"):
        open_published(settings)
    publish(settings, JANUARY)
    assert counts(settings) == {"2024-01": 2}


def test_months_whose_files_are_gone_are_named_and_come_back_with_their_runs(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    for month in (JANUARY, FEBRUARY):
        make_warehouse(settings, month, count=2)
        publish(settings, month)
    shutil.rmtree(settings.published_dir / "months")
    publish(settings, JANUARY)
    assert "files of 2024-01, 2024-02 are gone" in caplog.text
    assert counts(settings) == {"2024-01": 2}
    publish(settings, FEBRUARY)
    assert counts(settings) == {"2024-01": 2, "2024-02": 2}


def test_an_incomplete_month_is_not_published_without_a_run(settings: Settings) -> None:
    make_warehouse(settings, JANUARY, count=2)
    publish(settings, JANUARY)
    [charges] = settings.published_dir.glob("months/2024-01/*/charges.parquet")
    charges.unlink()
    with pytest.raises(PublishError, match="`billing run 2024-01` rebuilds them"):
        publish_rows(settings, JANUARY, {"invoice_payments": []})
    publish(settings, JANUARY)
    assert counts(settings) == {"2024-01": 2}
