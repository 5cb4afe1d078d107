"""The Dagster UI, or the dashboard, over a state of its own, in a headless Chromium, for tests that
click.

What belongs here: starting both, and the few gestures that the tests share. What does not:
expectations. `BILLING_PICTURES` names a folder that keeps the screenshots (docs/images).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
JOBS = "/locations/billing_pipeline.definitions/jobs"
TIMEOUT_MS = 300_000
# Chromium without its calls home; a container's root needs no sandbox inside the container.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


def chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(environment: dict[str, str], port: int | None = None) -> Iterator[str]:
    """`make dev` on a port until the block ends; yields its address."""
    with _serving(("ui", "--daemon"), environment, port, "/server_info") as address:
        yield address


@contextmanager
def serving_dashboard(environment: dict[str, str]) -> Iterator[str]:
    """`make dashboard` on a port until the block ends; yields its address."""
    with _serving(("dashboard",), environment, None, "/") as address:
        yield address


@contextmanager
def _serving(
    command: Sequence[str], environment: dict[str, str], port: int | None, probe: str
) -> Iterator[str]:
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    log = Path(environment["BILLING_HOME"]) / "dev.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            [sys.executable, "-m", "billing_pipeline", *command, "--port", str(port)],
            cwd=ROOT, env=os.environ | environment,
            stdout=out, stderr=out, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            _wait_until_up(f"{address}{probe}", process, log)
            yield address
        finally:
            os.killpg(process.pid, 9)


def _wait_until_up(probe: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + TIMEOUT_MS / 1000
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(probe):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"the pages are not served:\n{log.read_text()[-2000:]}")


@contextmanager
def browsing(address: str) -> Iterator[Screen]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
        page.set_default_timeout(TIMEOUT_MS)
        try:
            yield Screen(page, address)
        finally:
            browser.close()


_COUNT = """for (const kind of ['click', 'keydown']) document.addEventListener(
    kind, event => { if (event.isTrusted) window.counted(kind) }, true)"""


class Screen:
    """One page of the UI, and what a person does on it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.clicks = 0
        self.typed = 0
        # The browser itself counts: what a script of the page does is no trusted event.
        page.context.expose_binding("counted", lambda _, kind: self._count(kind))
        page.context.add_init_script(_COUNT)

    def _count(self, kind: str) -> None:
        if kind == "click":
            self.clicks += 1
        else:
            self.typed += 1

    def scroll_to(self, wanted: Locator) -> None:
        """Wait for something on a page, also among a run's events above, which are in the page
        only while they are in sight."""
        end = time.monotonic() + TIMEOUT_MS / 1000
        while not wanted.count():
            assert time.monotonic() < end, f"{wanted} is not there"
            self.page.mouse.move(800, 700)
            self.page.mouse.wheel(0, -300)
            self.page.wait_for_timeout(200)

    def follow(self, link: Locator) -> None:
        """Click a link, which may open a page of its own."""
        before = len(self.page.context.pages)
        link.click()
        self.page.wait_for_timeout(1000)
        if len(self.page.context.pages) > before:
            self.page = self.page.context.pages[-1]

    def open(self, path: str) -> None:
        self.page.goto(f"{self.address}{path}")

    def picture(self, name: str) -> None:
        folder = os.environ.get("BILLING_PICTURES")
        if folder:
            self.page.wait_for_timeout(1500)  # until nothing moves any more
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def choose_partition_of_asset(self, asset: str, partition: str) -> Locator:
        """Open an asset's launch dialog for one month, a past one too."""
        self.open(f"/assets/{asset}")
        return self._choose(partition, "Custom")

    def _choose(self, partition: str, whichever: str) -> Locator:
        self.page.get_by_role("button", name="Materialize").first.click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_text(whichever).click()
        box = dialog.get_by_role("textbox").first
        box.fill(partition)
        box.press("Enter")
        dialog.get_by_text("1 partition", exact=True).wait_for()
        return dialog

    def launch(self) -> None:
        self.page.get_by_role("button", name="Launch 1 run").click()
        self.page.get_by_text("Launched run").first.wait_for()
