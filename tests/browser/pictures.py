"""`python -m tests.browser.pictures`: the pictures of docs/operations.md and docs/dashboard.md.

With a page of `billing simulate --html` as its argument, that of docs/price-changes.md.

What belongs here: pages of the Dagster UI and of the dashboard over what `BILLING_HOME` holds, as
PNG files in docs/images. What does not: finance's way (test_finance_way.py makes its pictures by
walking it), and documents (tests.end_to_end.document_pictures). After `make demo`, a plan waits
once `billing plan 2024-03` has seen the usage that came late.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from billing_pipeline.settings import Settings
from tests.browser.dagster_ui import ROOT, Screen, browsing, serving, serving_dashboard

IMAGES = ROOT / "docs" / "images"
MONTH = "2024-03"
WIDE, NARROW = 1280, 390


def main(page_of_a_price_change: Path | None) -> None:
    os.environ["BILLING_PICTURES"] = str(IMAGES)
    if page_of_a_price_change is not None:
        with browsing(page_of_a_price_change.absolute().as_uri()) as screen:
            screen.page.set_viewport_size({"width": 860, "height": 1180})
            screen.open("")
            screen.picture("price-change")
        return
    home = str(Settings.from_env().home.absolute())
    served = {"BILLING_HOME": home, "DAGSTER_HOME": f"{home}/dagster"}
    with serving(served) as address, browsing(address) as screen:
        _dagster(screen)
    with serving_dashboard(served) as address, browsing(address) as screen:
        _dashboard(screen)


def _dagster(screen: Screen) -> None:
    screen.open("/asset-groups")
    screen.page.get_by_text("collection").first.wait_for()
    screen.picture("ui-graph")
    screen.open("/assets/invoices?view=events")
    screen.page.get_by_text("largest changes").first.wait_for()
    screen.picture("ui-invoices")


def _dashboard(screen: Screen) -> None:
    for name, width, height, place, text in (
        ("months", WIDE, 1000, "#/", "Revenue by month and plan"),
        ("month", WIDE, 1100, f"?month={MONTH}#/month", "What happened"),
        ("one", NARROW, 844, "#/", "Revenue by month and plan"),
    ):
        screen.page.set_viewport_size({"width": width, "height": height})
        screen.open(f"/{place}")
        screen.page.get_by_text(text).first.wait_for()
        screen.picture(f"dashboard-{width}-{name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
