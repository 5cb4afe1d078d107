"""Names that are formulas, markup or terminal commands: they are shown, and do nothing."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from markdown_it import MarkdownIt

from billing_pipeline.collection import stripe_gateway
from billing_pipeline.settings import Settings
from tests.end_to_end.commands import ROOT, environment, module_of
from tests.end_to_end.warm import end_of, start
from tests.unit.documents.pdf_text import pdf_text

pytestmark = pytest.mark.slow

MARKUP = (
    "<img src=x onerror=alert(1)>[click](javascript:alert(1)) |a|`b` *c* [red]d[/red] &lt;i&gt;"
)
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil"
FORMULA = "=HYPERLINK(A1)"
NAME = f"{FORMULA} {MARKUP} {ESCAPES}"
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    data = folder / "data"
    customer = {"customer_id": FORMULA, "name": NAME, "country": "US", "currency": "USD"}
    customer |= {"email": "a@example.com", "payment_method": "pm_card_chargeCustomerFail"}
    write(data / "accounts" / "customers.csv", [customer])
    subscription = {"subscription_id": "<b>s</b>", "customer_id": FORMULA, "plan_id": "|p|*x*"}
    starts = {"starts_at": "2024-01-01T00:00:00Z"}
    write(data / "accounts" / "subscriptions.csv", [subscription | starts])
    write(data / "catalog" / "plans.csv", [{"plan_id": "|p|*x*", "name": NAME}])
    price = {"price_id": "[p](x)", "plan_id": "|p|*x*", "charge_model": "flat"}
    price |= {"flat_amount": "10", "currency": "USD", "description": NAME}
    write(data / "catalog" / "prices.csv", [price])
    usage = {"event_id": "e1", "customer_id": "nobody", "event_name": "x"}
    usage |= {"occurred_at": "2024-01-02T00:00:00Z", "quantity": "1", "properties": ""}
    write(data / "usage" / "2024-01" / "[x](javascript:y) <i>.csv", [usage])
    return folder


def shown(folder: Path, *args: str) -> tuple[int, str]:
    """The command's output to a pseudo-terminal."""
    terminal, inner = os.openpty()
    env = environment(folder / "home", folder / "data", TERM="dumb", COLUMNS="200")
    name = Path(os.ttyname(inner))
    process = start(module_of(args), args, env, name, name)
    parts = []
    while terminal in wait([terminal, process.sentinel]):
        parts.append(os.read(terminal, 65536))
    os.close(inner)
    os.close(terminal)
    return end_of(process), b"".join(parts).decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def ran(home: Path) -> dict[str, tuple[int, str]]:
    ended = {"run": shown(home, "run", "2024-01")}
    assert ended["run"][0] == 0, ended
    with duckdb.connect(str(home / "home" / "published" / "billing.duckdb"), read_only=True) as db:
        ((invoice_id,),) = db.execute("SELECT invoice_id FROM invoices").fetchall()
    ended["explain"] = shown(home, "explain", str(invoice_id))
    ended["invoice"] = shown(home, "invoice", str(invoice_id), "--pdf", str(home / "invoice.pdf"))
    ended["shown invoice"] = shown(home, "invoice", str(invoice_id))
    # The price goes up: the plan on the terminal names the customer and says why.
    prices = home / "data" / "catalog" / "prices.csv"
    prices.write_text(prices.read_text(encoding="utf-8").replace(",10,", ",20,"), encoding="utf-8")
    ended["plan"] = shown(home, "plan", "2024-01")
    return ended


def test_a_terminal_is_not_steered(ran: dict[str, tuple[int, str]], home: Path) -> None:
    for name, (code, text) in ran.items():
        assert code == 0, (name, text)
        assert not CONTROL_CHARACTERS.search(text), name
    assert FORMULA in ran["plan"][1]
    assert "(A1) <img src=x" in ran["shown invoice"][1]
    assert "evil" in pdf_text((home / "invoice.pdf").read_bytes())
    assert "[red]d[/red]" in ran["explain"][1]


class Tags(HTMLParser):
    """The tags of a page and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes |= {name for name, _ in attrs if (tag, name) != ("a", "href")}
        self.links |= {value or "" for name, value in attrs if (tag, name) == ("a", "href")}


OURS = {
    *("table", "thead", "tbody", "tr", "th", "td"),
    *("p", "h2", "h3", "code", "strong", "ul", "li", "a"),
}
# The one link of a plan: the launchpad, with its hash.
LAUNCHPAD = re.compile(r"http://127\.0\.0\.1:3000/locations/[\w.]+/jobs/apply_plan/[\w/?=&%+.-]+")


def pages(home: Path) -> dict[str, str]:
    """All Markdown that the runs put into the Dagster UI."""
    config = str(home / "home" / "dagster")
    found: dict[str, str] = {}
    with dg.DagsterInstance.from_config(config) as instance:
        for run in instance.get_runs():
            for entry in instance.all_logs(run.run_id):
                event = entry.dagster_event
                data: Any = event.event_specific_data if event is not None else None
                metadata = getattr(getattr(data, "materialization", data), "metadata", None) or {}
                for name, value in metadata.items():
                    if isinstance(value, dg.MarkdownMetadataValue):
                        found[f"{run.job_name} {event.step_key} {name}"] = value.md_str or ""
    return found


def test_the_pages_of_the_ui_have_our_tags_only(ran: object, home: Path) -> None:
    found = pages(home)
    assert any(name.endswith(" plan") for name in found)
    assert any(FORMULA in text.replace("\\", "") for text in found.values())
    for name, text in found.items():
        tags = Tags()
        tags.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
        assert tags.found <= OURS, name
        assert tags.attributes <= {"style"}, name
        assert [link for link in tags.links if not LAUNCHPAD.fullmatch(link)] == [], name
        assert not CONTROL_CHARACTERS.search(text.replace("\n", "")), name


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_in(inner)


def test_stripe_gets_names_without_control_characters(ran: object, home: Path) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(home / "home")})
    with stripe_gateway.open_gateway(settings) as gateway:

        async def everything() -> list[Any]:
            listed = [gateway.list("/v1/customers"), gateway.list("/v1/invoices")]
            return [item for source in listed async for item in source]

        stripe = stripe_gateway.run(gateway, everything)
    texts = list(texts_in(stripe))
    assert any(MARKUP[:20] in text for text in texts)
    assert not [text for text in texts if CONTROL_CHARACTERS.search(text)]


def test_the_export_that_is_documented_holds_no_formula(ran: object, home: Path) -> None:
    document = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (statement,) = re.findall(r"```sql\n(COPY.*?)```", document, re.DOTALL)
    target = home / "export.csv"
    with duckdb.connect(str(home / "home" / "published" / "billing.duckdb"), read_only=True) as db:
        db.execute(statement.replace("invoice_lines.csv", str(target)))
    with target.open(encoding="utf-8", newline="") as text:
        rows = list(csv.reader(text))
    cells = [cell for row in rows for cell in row]
    assert f"'{FORMULA}" in cells
    assert any(MARKUP[:20] in cell for cell in cells)
    assert not [cell for cell in cells if re.match(r"[=+@\t\r]|-(?![0-9.]+$)", cell)]
