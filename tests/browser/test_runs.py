"""Runs in the Dagster UI: seen going on to their end, and found where a person looks for them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.browser.dagster_ui import JOBS, browsing, chromium, serving
from tests.end_to_end.closed_once import EXAMPLE, MONTH, Closed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        chromium() is None, reason="no Chromium on this machine: apt-get install chromium"
    ),
]
NEWEST = """query($job: String!) { runsOrError(limit: 1, filter: {pipelineName: $job}) {
  ... on Runs { results { id status tags { key value } } } } }"""
ASSETS = "__ASSET_JOB"  # Dagster's own, of single assets


def newest_run(address: str, job: str = ASSETS) -> dict[str, Any]:
    asked = Request(
        f"{address}/graphql",
        json.dumps({"query": NEWEST, "variables": {"job": job}}).encode(),
        {"Content-Type": "application/json", "Origin": address},
    )
    with urlopen(asked) as answer:
        [run] = json.load(answer)["data"]["runsOrError"]["results"]
    return run | {"tags": {tag["key"]: tag["value"] for tag in run["tags"]}}


# A page of another site: it asks by image, form, script, frame and websocket, and says when it is
# done. Whatever a browser may read of the answers would stand in `seen`.
FOREIGN = """<title>Kittens</title><iframe src="ADDRESS/"></iframe><script>
const text = JSON.stringify({query: MUTATION}), place = "ADDRESS/graphql"
const link = place + "?query=" + encodeURIComponent(MUTATION)
const json = {"Content-Type": "application/json"}
window.seen = []
const note = what => answer => window.seen.push(what + ": " + answer)
const asked = [
  new Promise(done => Object.assign(new Image(), {onload: done, onerror: done, src: link})),
  fetch(link, {mode: "no-cors"}).then(() => 0, () => 0),
  fetch(link).then(answer => answer.text()).then(note("link"), () => 0),
  fetch(place, {method: "POST", mode: "no-cors", body: text}).then(() => 0),
  fetch(link, {method: "POST", mode: "no-cors", body: ""}).then(() => 0),
  fetch(place, {method: "POST", body: text, headers: json})
    .then(answer => answer.text()).then(note("script"), () => 0),
  new Promise(done => {
    const socket = new WebSocket(place.replace("http", "ws"), "graphql-ws")
    socket.onopen = () => { note("websocket")("open"); done() }
    socket.onerror = done
  }),
]
Promise.allSettled(asked).then(() => { document.title = "done" })
</script>"""
LAUNCH = """mutation { launchRun(executionParams: {mode: "default", executionMetadata: {tags: [
  {key: "dagster/partition", value: "MONTH"}]}, selector: {repositoryName: "__repository__",
  repositoryLocationName: "billing_pipeline.definitions", jobName: "close_month"}})
  { __typename } }"""


def open_foreign_page(page: Any, address: str) -> list[str]:
    """What a page of another site could read of the UI's answers, once it has asked for a run."""
    mutation = json.dumps(LAUNCH.replace("MONTH", MONTH))
    body = FOREIGN.replace("ADDRESS", address).replace("MUTATION", mutation)
    page.route(
        "http://kittens.example/", lambda asked: asked.fulfill(body=body, content_type="text/html")
    )
    page.goto("http://kittens.example/")
    page.wait_for_function("document.title === 'done'")
    seen: list[str] = page.evaluate("window.seen")
    return seen


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

        # Another site's page, open meanwhile, starts nothing and reads nothing.
        assert open_foreign_page(page, address) == []
        assert newest_run(address, "close_month")["id"] == run_id

        # A month is found by its name, and a single asset that sends waits its turn in the queue.
        screen.choose_partition_of_asset("stripe_invoices", MONTH)
        screen.launch()
        launched = newest_run(address)
        assert launched["tags"]["billing/sends"] == "true"
        assert launched["tags"]["dagster/partition"] == MONTH

        # From here on the page is told by the server, and nobody loads it anew.
        screen.open(f"/runs/{launched['id']}")
        page.evaluate("window.isStillThisPage = true")
        # Any event: the page shows only those for which it has room.
        page.get_by_text(
            re.compile("^(ENGINE_EVENT|RUN_START|STEP_[A-Z]+|LOGS_CAPTURED)$")
        ).first.wait_for()
        assert newest_run(address)["status"] in ("STARTING", "STARTED")
        page.get_by_text("Success", exact=True).first.wait_for()
        assert page.evaluate("window.isStillThisPage") is True
