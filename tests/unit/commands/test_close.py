"""What a run shows of the month that it leaves behind."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.commands.close import _published, _show
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare


def test_the_plan_of_an_earlier_release_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    settings.published_dir.mkdir()
    with duckdb.connect(str(database_path(settings))) as published:
        declare(published, settings)
        published.execute(
            "INSERT INTO invoice_plan (billing_month, plan_hash, action, invoice_id, customer_id,"
            " currency, amount_before, amount_after, state)"
            " VALUES (?, 'h', 'supplement', 'in_1', 'acme', 'USD', 10, 12.5, 'waiting')",
            [date(2024, 1, 1)],
        )
    [row], payments, _ = _published(settings, BillingMonth(2024, 1))
    assert row["amount_change"] == Decimal("2.5")
    _show([row], payments)
    assert "+2.50" in capsys.readouterr().out
