"""Runs in the Dagster UI: seen going on to their end, and found where a person looks for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.browser.dagster_ui import JOBS, browsing, chromium, serving
from tests.end_to_end.closed_once import EXAMPLE, MONTH, Closed

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no Chromium on this machine: apt-get install chromium"
)
NEWEST = "{ runsOrError(limit: 1) { ... on Runs { results { id tags { key value } } } } }"


def newest_run(address: str) -> dict[str, Any]:
    asked = Request(
        f"{address}/graphql",
        json.dumps({"query": NEWEST}).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(asked) as answer:
        [run] = json.load(answer)["data"]["runsOrError"]["results"]
    return {"id": run["id"], "tags": {tag["key"]: tag["value"] for tag in run["tags"]}}


def test_runs_are_found_and_seen_to_their_end(tmp_path: Path, closed_wallet: Closed) -> None:
    home = tmp_path / "home"
    run_id = closed_wallet(home)["run_id"]
    environment = {
        "BILLING_DATA_DIR": str(EXAMPLE),
        "BILLING_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
    }
    with serving(environment) as address, browsing(address) as screen:
        page = screen.page
        # What `billing run` has run stands with its job, in the list of jobs and on the timeline.
        screen.open(f"{JOBS}/close_month/runs")
        page.get_by_text(run_id[:8]).first.wait_for()
        screen.open("/jobs")
        of_job = page.locator("div").filter(has=page.get_by_role("link", name="close_month"))
        of_job.filter(has_not_text="apply_plan").filter(has_text=" ago").first.wait_for()
        screen.open("/overview/activity/timeline")
        page.get_by_role("link", name="close_month").wait_for()

        # A month is found by its name, and a single asset that sends waits its turn in the queue.
        screen.choose_partition_of_asset("stripe_invoices", MONTH)
        screen.launch()
        launched = newest_run(address)
        assert launched["tags"]["billing/sends"] == "true"
        assert launched["tags"]["dagster/partition"] == MONTH

        # From here on the page is told by the server, and nobody loads it anew.
        screen.open(f"/runs/{launched['id']}")
        page.evaluate("window.isStillThisPage = true")
        page.get_by_text("Success", exact=True).first.wait_for()
        assert page.evaluate("window.isStillThisPage") is True
