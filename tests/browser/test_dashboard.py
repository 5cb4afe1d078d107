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
from tests.browser.dagster_ui import FLAGS, chromium, serving_dashboard
from tests.end_to_end.closed_once import Closed
from tests.end_to_end.commands import EXAMPLES, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine"),
]
PATIENCE = 60_000
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
        page.set_default_timeout(PATIENCE)
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
