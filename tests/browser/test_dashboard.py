"""The dashboard in a real browser: every page, wide and narrow, with the database's own numbers,
and nothing asked of the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.money import format_amount
from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings
from tests.browser.dagster_ui import FLAGS, chromium, serving_dashboard
from tests.end_to_end.closed_once import Closed
from tests.end_to_end.commands import EXAMPLES, environment
from tests.unit.published.declared import declare

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine"),
]
TIMEOUT_MS = 60_000
PAGES = {
    "/": "Is everything well?",
    "/month": "What happened",
    "/so-far": "as computed",
    "/invoices": "Invoices",
    "/revenue": "Revenue by month and plan",
    "/limits": "Limits of plans",
    "/activity": "close_month",
    "/customer": "Choose a customer.",
}
EXAMPLE = EXAMPLES / "prepaid-wallet"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, closed_wallet: Closed) -> Path:
    home = tmp_path_factory.mktemp("dashboard") / "home"
    closed_wallet(home)
    return home


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving_dashboard(environment(home, EXAMPLE)) as served:
        yield served


class _Watched:
    """A page of the browser, and what it asked for or complained of."""

    def __init__(self, page: Any) -> None:
        self.page, self.outside, self.errors = page, [], []
        page.set_default_timeout(TIMEOUT_MS)
        page.on("request", self._request)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.outside.append(request.url)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)


@pytest.fixture
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_shows_what_is_published(
    browser: Any, address: str, home: Path, width: int
) -> None:
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as database:
        ((total, wallet, customer),) = database.execute(
            "SELECT sum(total), max(wallet_applied), arg_max(customer_id, wallet_applied)"
            " FROM invoices"
        ).fetchall()
    watched = _Watched(browser.new_page(viewport={"width": width, "height": 900}))
    page = watched.page
    for place, text in PAGES.items():
        page.goto(f"{address}/#{place}")
        page.get_by_text(text).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
    page.get_by_role("link", name="Months").click()
    page.get_by_role("cell", name=format_amount(total, "USD"), exact=True).first.wait_for()
    assert page.locator("a[aria-current=page]").inner_text() == "Months"
    # A month, one of its customers, and that one's invoice are a click away from one another.
    page.get_by_role("link", name="2024-01", exact=True).first.click()
    page.get_by_text("closed: invoiced").first.wait_for()
    page.goto(f"{address}/#/customer")
    page.locator("marimo-dropdown button").first.click()
    page.get_by_role("option", name=customer).first.click()
    page.get_by_text("Wallet").first.wait_for()
    page.get_by_text(format_amount(-wallet, "USD")).first.wait_for()
    page.locator("a[href*='?invoice=']").first.click()
    page.get_by_text("shows the events of a line").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert watched.outside == []
    assert watched.errors == []


def test_before_anything_is_published_it_says_what_to_run(browser: Any, tmp_path: Path) -> None:
    with serving_dashboard(environment(tmp_path, EXAMPLE)) as address:
        page = _Watched(browser.new_page()).page
        page.goto(address)
        page.get_by_text("billing run MONTH, or make demo").first.wait_for()


_MONTHS = """
CREATE TEMP TABLE months AS
SELECT (DATE '2023-01-01' + to_months(n::INTEGER))::DATE AS billing_month, n FROM range(36) AS _(n);
INSERT INTO seller BY NAME SELECT billing_month, 'UTC' AS timezone FROM months;
INSERT INTO customers BY NAME SELECT billing_month, 'ada' AS customer_id, 'Ada & Søn' AS name
FROM months;
INSERT INTO invoices BY NAME SELECT billing_month, 'in_' || n AS invoice_id, 'ada' AS customer_id,
    'USD' AS currency, 1000 + n AS total, 0 AS wallet_applied FROM months;
INSERT INTO invoice_payments BY NAME SELECT billing_month, 'in_' || n AS invoice_id,
    'USD' AS currency, 'ada' AS customer_id, 'paid' AS status, 1000 + n AS billed,
    1000 + n AS paid, 0 AS outstanding,
    0 AS credited, 0 AS refunded, 0 AS settled_by_balance FROM months;
INSERT INTO charges BY NAME SELECT billing_month, 'ch_' || n || '_' || p AS charge_id,
    'ada' AS customer_id, 'plan ' || p AS plan_id, 'USD' AS currency, 100 + p AS amount,
    'Calls of plan ' || p AS description FROM months, range(9) AS _(p);
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_three_years_fit(browser: Any, tmp_path: Path, width: int) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    settings.published_dir.mkdir(parents=True)
    with duckdb.connect(str(database_path(settings))) as database:
        declare(database, settings)
        database.execute(_MONTHS)
    watched = _Watched(browser.new_page(viewport={"width": width, "height": 900}))
    page = watched.page
    with serving_dashboard(environment(tmp_path, tmp_path)) as address:
        for place, text in (
            ("#/", "23 months before"),
            ("#/revenue", "Billed by month"),
            ("?customer=ada#/customer", "23 months before"),
        ):
            page.goto("about:blank")
            page.goto(f"{address}/{place}")
            page.get_by_text(text).first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, place
        # Where the table goes on beyond the screen, it scrolls by itself.
        table = page.locator(".wide", has=page.get_by_role("cell", name="2025-12")).first
        moved = table.evaluate("table => { table.scrollLeft = 1000; return table.scrollLeft }")
        assert (moved > 0) is (width == 390)
    assert watched.errors == []
