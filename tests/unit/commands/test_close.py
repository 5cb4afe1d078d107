"""What a run shows of the month that it leaves behind."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from billing_pipeline.commands import close
from billing_pipeline.commands.cli import main
from billing_pipeline.commands.close import _published
from billing_pipeline.commands.execution import RunResult
from billing_pipeline.commands.plan_tables import show
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare


def publish_a_plan(home: Path) -> Settings:
    settings = Settings.from_env({"BILLING_HOME": str(home)})
    settings.published_dir.mkdir()
    with duckdb.connect(str(database_path(settings))) as published:
        declare(published, settings)
        published.execute(
            "INSERT INTO invoice_plan (billing_month, plan_hash, action, invoice_id, customer_id,"
            " currency, amount_before, amount_after, obstacle, state) VALUES"
            " ($1, 'h', 'supplement', 'in_1', 'acme', 'USD', 10, 12.5, NULL, 'waiting'),"
            " ($1, 'h', 'create', 'in_3', 'eve', 'USD', 0, 7, 'no e-mail', 'ready'),"
            " ($1, 'h', 'unchanged', 'in_4', 'dan', 'USD', 7, 7, 'no card', 'done')",
            [date(2024, 1, 1)],
        )
        published.execute(
            "INSERT INTO plan_changes (billing_month, plan_hash, invoice_id, customer_id, line_id,"
            " description, currency, quantity_before, quantity_after, amount_before, amount_after,"
            " cause, evidence) VALUES (?, 'h', 'in_1', 'acme', 'li_1', 'Calls', 'USD', 8, 13, 10,"
            " 12.5, 'late usage', 'usage/2024-01/late.csv row 2'), (?, 'h', 'in_2', 'bob', 'li_2',"
            " 'Of a change that is done', 'USD', 1, 2, 1, 2, 'late usage', '')",
            [date(2024, 1, 1)] * 2,
        )
    return settings


def test_the_plan_of_an_earlier_release_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = publish_a_plan(tmp_path)
    found = _published(settings, BillingMonth(2024, 1))
    changes = {row["invoice_id"]: row["amount_change"] for row in found.plan}
    assert changes["in_1"] == Decimal("2.5")
    show(found.plan, found.changes, found.payments)
    assert "+2.50" in capsys.readouterr().out


def test_the_lines_of_what_waits_are_shown_with_what_changed_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    found = _published(publish_a_plan(tmp_path), BillingMonth(2024, 1))
    show(found.plan, found.changes, found.payments)
    output = capsys.readouterr().out
    [line] = [text for text in output.splitlines() if "Calls" in text]
    for cell in ("acme", "8 → 13", "10.00", "12.50 USD", "late usage", "late.csv row 2"):
        assert cell in line
    assert "Of a change that is done" not in output


def test_obstacles_to_payment_are_named_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _published(publish_a_plan(tmp_path), BillingMonth(2024, 1))
    show(found.plan, found.changes, found.payments)
    output = capsys.readouterr().out
    [line] = [text for text in output.splitlines() if "eve" in text]
    assert "7.00 USD" in line and "no e-mail" in line
    assert "no card" not in output


def test_a_run_that_failed_shows_nothing_of_a_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_a_plan(tmp_path)
    failed = RunResult("run-2", False, "the disk is full")
    monkeypatch.setattr(close, "execute", lambda *given, **more: failed)

    def output(command: str, *options: str) -> str:
        environment = {"BILLING_HOME": str(tmp_path)}
        done = CliRunner().invoke(main, [command, "2024-01", *options], env=environment)
        assert done.exit_code == 1
        assert "the disk is full" in done.output
        return done.output

    for asked in (("run",), ("plan", "--json"), ("pull",)):
        assert "acme" not in output(*asked)
    # What it had planned by then is its own.
    publications = iter(["before", "after"])
    monkeypatch.setattr(close, "plan_publication", lambda *given: next(publications))
    assert "acme" in output("run")
