"""`billing simulate`: past usage charged by another price book, compared with the present one.

What belongs here: arguments, files, and what the terminal shows. What does not: rating and
comparing (``simulation``), and the content of the page (``documents.price_change``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from billing_pipeline.commands.differences import AMOUNTS, show_changed
from billing_pipeline.commands.parameters import MONTHS, json_option, settings_with_home
from billing_pipeline.commands.terminal import CommandError, print_json, table
from billing_pipeline.documents import rendering
from billing_pipeline.documents.price_change import price_change, stray_sentence
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import PlanMove, Settings
from billing_pipeline.simulation.revisions import read_revision
from billing_pipeline.simulation.simulate import Side, Simulation
from billing_pipeline.simulation.simulate import simulate as simulation
from billing_pipeline.text import csv_text

_PRESENT = "the present price book"
_FILE = click.Path(dir_okay=False, path_type=Path)


class _Move(click.ParamType[tuple[str, str]]):
    name = "plan:plan"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        before, _, after = str(value).partition(":")
        if not (before and after):
            self.fail(f"{value!r} is not PLAN:PLAN, for example studio-starter:studio-growth")
        return before, after


@click.command()
@click.option(
    "--catalog",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder like catalog/ with the price book to try.",
)
@click.option(
    "--from", "since", metavar="REV", help="Git revision of the price book to compare with."
)
@click.option("--to", "until", metavar="REV", help="Git revision of the price book to try.")
@click.option(
    "--move",
    "moves",
    type=_Move(),
    multiple=True,
    help="Rate subscriptions of the first plan by the second; may be repeated.",
)
@click.option(
    "--where",
    default="",
    metavar="SQL",
    help="With --move: condition on columns of subscriptions and customers.",
)
@click.option(
    "--months",
    required=True,
    type=MONTHS,
    help="First and last month, for example 2024-01..2024-12.",
)
@click.option("--markdown", "markdown_file", type=_FILE, help="Write a Markdown report.")
@click.option("--html", "html_file", type=_FILE, help="Write an HTML report with charts.")
@click.option("--csv", "csv_file", type=_FILE, help="Write all rows as CSV.")
@json_option
def simulate(
    catalog: Path | None,
    since: str | None,
    until: str | None,
    moves: tuple[tuple[str, str], ...],
    where: str,
    months: list[BillingMonth],
    markdown_file: Path | None,
    html_file: Path | None,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Rate past usage with another price book; nothing billed is changed."""
    if where and not moves:
        raise CommandError("--where says which subscriptions are moved: give --move as well")
    settings = settings_with_home()
    for month in months:
        settings.require_month(month, datetime.now(UTC))

    def notify(month: BillingMonth) -> None:
        if not as_json:
            click.echo(f"{month} …", err=True)

    cohort = tuple(PlanMove(*plans, where) for plans in moves)
    with _sides(settings, catalog, since, until, cohort) as (before, after):
        done = simulation(settings, before, after, months, datetime.now(UTC), notify)
    if csv_file is not None:
        csv_file.write_text(csv_text(done.changes), encoding="utf-8", newline="")
    page = price_change(done)
    if markdown_file is not None:
        markdown_file.write_text(rendering.markdown("price_change", page), encoding="utf-8")
    if html_file is not None:
        html_file.write_text(rendering.html("price_change", page), encoding="utf-8")
    if as_json:
        print_json(
            {"simulation_id": done.simulation_id, "changes": done.changes}
            | {name: getattr(done.differences, name) for name in ("invoices", "margins")}
            | {name: page[name] for name in ("price_book", "outside", "strays")}
        )
    else:
        _show(done, page)
    wrong = stray_sentence(done)
    if wrong is not None:
        raise CommandError(wrong)


@contextmanager
def _sides(
    settings: Settings,
    catalog: Path | None,
    since: str | None,
    until: str | None,
    moves: tuple[PlanMove, ...],
) -> Iterator[tuple[Side, Side]]:
    """The two price books that are compared: the data directory's, or its revision `since`, and the
    one in `catalog` (default: the data directory's), or its revision `until`."""
    if catalog is None and since is None and until is None and not moves:
        raise CommandError("nothing to compare: give --catalog, --from, --to or --move")
    if catalog is None and (since or until) and "://" in settings.data_dir:
        raise CommandError(
            f"{settings.data_dir} has no git history: --catalog names the folder that has one"
        )
    folder = catalog or Path(settings.data_dir).expanduser().absolute() / "catalog"
    with tempfile.TemporaryDirectory() as scratch:

        def at(revision: str, name: str) -> Side:
            target = Path(scratch) / name / "catalog"
            target.mkdir(parents=True)
            commit = read_revision(folder, revision, target)
            shown = revision if revision.startswith(commit) else f"{revision} ({commit})"
            return Side(shown, target)

        before = at(since, "before") if since else Side(_PRESENT)
        current = Side(_PRESENT if catalog is None else str(catalog), catalog)
        after = at(until, "after") if until else current
        name = f"{after.name}, subscriptions moved" if moves else after.name
        yield before, Side(name, after.catalog, moves)


def _show(done: Simulation, page: dict[str, Any]) -> None:
    console = Console()
    for found in page["currencies"]:
        currency = found["currency"]
        _table(console, f"{currency}, after discounts", "", [found["revenue"], *found["margin"]])
        _table(console, "Who pays more", "customer", found["dearer"], found["more_dearer"])
        _table(console, "Who pays less", "customer", found["cheaper"], found["more_cheaper"])
        _table(console, "By plan", "plan", found["plans"])
    show_changed(console, "By price, before discounts", "price", done.changes, AMOUNTS)
    for move in page["moves"]:
        click.echo(f"{move}.")
    if not page["strays"]:
        click.echo(f"Nobody else's bill changes by a cent: {page['outside']['text']}.")
    click.echo(f"All rows: table simulation_changes, {done.simulation_id}.")


def _table(
    console: Console, title: str, label: str, found: list[dict[str, str]], more: int = 0
) -> None:
    if not found:
        return
    columns = (label, "before", "after", "change", "%")
    values = ("label", "before", "after", "change", "share")
    console.print(table(title, columns, [[row[name] for name in values] for row in found]))
    if more:
        click.echo(f"and {more:,} more: --csv writes all of them")
