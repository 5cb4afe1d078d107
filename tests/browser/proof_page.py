"""The page of `billing prove` in a Chromium that has no network.

What belongs here: opening it, and what its reader sees. What does not: expectations.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.dagster_ui import FLAGS, chromium


@dataclass(frozen=True)
class Seen:
    """What stands on the page: the sentence above, a mark for each line, for each sum and for each
    of Stripe's digests. `asked` are all requests, `errors` what the page or its policy said."""

    verdict: str
    lines: list[str]
    sums: list[str]
    digests: list[str]
    asked: list[str]
    errors: list[str]


def seen_offline(file: Path) -> Seen:
    asked: list[str] = []
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_context(offline=True).new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(file.as_uri())
        marks = [
            page.locator(where).all_inner_texts()
            for where in (
                "main > details > summary .amounts > span",
                "main > .scroll td:last-child",
                "main > div:not(.scroll) > p:first-child > span",
            )
        ]
        seen = Seen(page.locator(".verdict").inner_text(), *marks, asked, errors)
        browser.close()
    return seen
