"""Finance's way in the UI, by clicks alone: a past month is rerun, its plan read, approved, and the
receipt read."""

from __future__ import annotations

import json
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

from billing_pipeline.months import BillingMonth  # noqa: E402
from billing_pipeline.web.links import approval_url, plan_url  # noqa: E402
from tests.browser.dagster_ui import (  # noqa: E402
    TIMEOUT_MS,
    Screen,
    browsing,
    chromium,
    free_port,
    serving,
)

EXAMPLE = Path(__file__).resolve().parents[2] / "data" / "examples" / "restoration"
MONTH = "2024-01"
HEADER = "event_id,customer_id,event_name,occurred_at,quantity,properties\n"
MAX_CLICKS, FROM_A_NOTICE = 8, 3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        chromium() is None, reason="no Chromium on this machine: apt-get install chromium"
    ),
]


def published(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def billing(environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "billing_pipeline", *arguments, "--json"]
    done = subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def late_usage(data: Path, customer: str, name: str) -> None:
    (data / "usage" / MONTH / f"{name}.csv").write_text(
        f"{HEADER}{name}-1,{customer},area_restored,2024-01-30T10:00:00Z,5,\n"
        f"{name}-2,nobody,area_restored,2024-01-30T10:00:00Z,5,\n"
    )


def seen_by_the_sensor(home: Path) -> bool:
    """Whether the sensor has looked for late usage; it looks again after five minutes."""
    return "drifted_months skipped" in (home / "dev.log").read_text()


def test_a_past_month_is_rerun_read_approved_and_billed_once_by_clicks_alone(
    tmp_path: Path,
) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    shutil.copytree(EXAMPLE, data)
    port = free_port()
    environment = {
        "BILLING_DATA_DIR": str(data),
        "BILLING_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "BILLING_UI_URL": f"http://127.0.0.1:{port}",
    }
    closed = billing(environment, "run", MONTH)["run_id"]
    customer, name, before = published(
        home,
        "SELECT customer_id, name, total FROM invoices JOIN customers USING (customer_id)"
        " ORDER BY total DESC, customer_id LIMIT 1",
    )[0]
    sent = (
        "SELECT revision, total FROM stripe_invoices"
        f" WHERE customer_id = '{customer}' ORDER BY revision"
    )
    with serving(environment, port) as address, browsing(address) as screen:
        page = screen.page
        end = time.monotonic() + TIMEOUT_MS / 1000
        while not seen_by_the_sensor(home):
            assert time.monotonic() < end, "the sensor does not look for late usage"
            time.sleep(1)
        late_usage(data, customer, "late")

        # From the home page: the month's run, once more.
        screen.open("/")
        page.get_by_role("link", name="Runs").first.click()
        page.get_by_role("link", name=closed[:8]).first.wait_for()
        screen.picture("finance-1-runs")
        page.get_by_role("link", name=closed[:8]).first.click()
        page.get_by_role("button", name="Re-execute all").click()
        # The page of the run before says "Success" until the new run's is there.
        page.wait_for_url(lambda url: closed not in url)
        page.get_by_text("ROOT").first.wait_for()
        page.get_by_text("Success", exact=True).first.wait_for()
        plan = read(screen, "remaining", "Invoice plan")
        for text in (name, "late usage", "usage/2024-01/late.csv row 2", "row 3 unknown_customer"):
            plan.get_by_text(text).first.wait_for()
        screen.picture("finance-2-plan")
        assert published(home, sent) == [(1, before)], "a rerun sends nothing that waits"
        clicks = screen.clicks

        # A notice, which says what waits, leads to the same plan, and in two clicks to the
        # launchpad; its button is the third.
        plan_hash = published(home, "SELECT DISTINCT plan_hash FROM invoice_plan")[0][0]
        launchpad = approval_url(address, BillingMonth.parse(MONTH), plan_hash)
        screen.page = page.context.new_page()
        screen.open(plan_url("", BillingMonth.parse(MONTH)))
        link = approval_link(read(screen, "plan", "Invoice plan"))
        assert link.get_attribute("href") == launchpad
        screen.follow(link)
        screen.page.get_by_role("button", name="Launch Run").last.wait_for()
        assert screen.clicks - clicks + 1 <= FROM_A_NOTICE, screen.clicks - clicks
        screen.page.close()

        screen.page, screen.clicks = page, clicks
        assert approval_link(plan).get_attribute("href") == launchpad
        screen.follow(approval_link(plan))
        screen.page.get_by_role("button", name="Launch Run").last.wait_for()
        screen.picture("finance-3-approve")
        screen.page.get_by_role("button", name="Launch Run").last.click()
        screen.page.get_by_text("Success", exact=True).first.wait_for()
        read(screen, "receipt", name)
        screen.picture("finance-4-receipt")
        assert published(home, sent) == [(1, before), (2, Decimal("5.00"))]
        assert screen.typed == 0 and screen.clicks <= MAX_CLICKS, screen.clicks


def approval_link(plan: Any) -> Any:
    return plan.get_by_role("link", name="the launchpad, filled in")


def read(screen: Screen, name: str, text: str) -> Any:
    """The page of Markdown that a run or an asset shows under `name`, once it is there."""
    found = screen.page.locator("tr").filter(has_text=name).get_by_text("[Show Markdown]")
    screen.scroll_to(found)
    found.last.click()
    dialog = screen.page.get_by_role("dialog")
    dialog.get_by_text(text).first.wait_for()
    return dialog
