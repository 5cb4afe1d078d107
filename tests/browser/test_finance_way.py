"""Finance's way in the UI: a past month, its preview, the plan, the approval, the receipt."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.browser.dagster_ui import PATIENCE, browsing, chromium, serving  # noqa: E402

EXAMPLE = Path(__file__).resolve().parents[2] / "data" / "examples" / "restoration"
MONTH = "2024-01"

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no Chromium on this machine: apt-get install chromium"
)


def published(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def wait_for(home: Path, sql: str, wanted: list[tuple[Any, ...]]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while (found := published(home, sql)) != wanted:
        assert time.monotonic() < end, f"{sql}: {found}, not {wanted}"
        time.sleep(1)


def close(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "billing_pipeline", "run", MONTH]
    subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)


def test_late_usage_is_previewed_read_approved_and_billed_once(tmp_path: Path) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    shutil.copytree(EXAMPLE, data)
    environment = {
        "BILLING_DATA_DIR": str(data),
        "BILLING_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
    }
    close(environment)
    customer, before = published(
        home, "SELECT customer_id, total FROM invoices ORDER BY total DESC, customer_id LIMIT 1"
    )[0]
    late = data / "usage" / MONTH / "late.csv"
    late.write_text(
        "event_id,customer_id,event_name,occurred_at,quantity,properties\n"
        f"late-1,{customer},area_restored,2024-01-30T10:00:00Z,5,\n"
    )
    sent = "SELECT revision, total FROM stripe_invoices WHERE {} ORDER BY revision"
    of_customer = sent.format(
        f"stripe_customer_id = (SELECT any_value(s.stripe_customer_id) FROM stripe_invoices s"
        f" JOIN invoices i USING (invoice_id) WHERE i.customer_id = '{customer}')"
    )
    with serving(environment) as address, browsing(address) as screen:
        dialog = screen.choose_partition("preview_month", MONTH)
        screen.picture("finance-1-preview")
        screen.launch()
        waiting = "SELECT action, state FROM invoice_plan WHERE action <> 'unchanged'"
        wait_for(home, waiting, [("supplement", "waiting")])
        plan_hash = published(home, "SELECT DISTINCT plan_hash FROM invoice_plan")[0][0]

        screen.open(f"/assets/invoice_plan?view=partitions&partition={MONTH}")
        screen.page.get_by_text(plan_hash).first.wait_for()
        screen.page.get_by_text("[Show Markdown]").first.click()
        screen.page.get_by_text("late usage").first.wait_for()
        screen.picture("finance-2-plan")
        assert published(home, of_customer) == [(1, before)], "a preview sends nothing"

        dialog = screen.choose_partition("apply_plan", MONTH)
        screen.configure(
            dialog, f'ops:\n  approved_changes:\n    config:\n      plan_hash: "{plan_hash}"\n'
        )
        screen.launch()
        wait_for(home, of_customer, [(1, before), (2, Decimal("5.00"))])

        screen.open(f"/assets/approved_changes?view=partitions&partition={MONTH}")
        screen.page.get_by_text("supplement").first.wait_for()
        screen.picture("finance-4-receipt")
