"""`billing init | check`: a new data directory, and what is wrong with one.

What belongs here: arguments and what the terminal shows. What does not: the files
(``new_directory``) and the checks (``data_check``).
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from billing_pipeline.intake.problems import MAX_LINES, InvalidInput
from billing_pipeline.months import BillingMonth
from billing_pipeline.overview.month_states import months_with_usage
from billing_pipeline.settings import Settings
from billing_pipeline.starting.data_check import MonthCheck, check_month, check_reference
from billing_pipeline.starting.new_directory import create
from billing_pipeline.terminal import json_option, money, table

# Ids that a hint names; the rest is counted.
IDS_NAMED = 5


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--example", is_flag=True, help="Fill the files with a small working company.")
@json_option
def init(directory: Path, example: bool, as_json: bool) -> None:
    """Write an empty data directory: every file with its header, and a page that explains them."""
    last = BillingMonth.containing(datetime.now(UTC), Settings.from_env().timezone).shift(-1)
    written = create(directory, last, with_example=example)
    if as_json:
        document = {"success": True, "files": [str(path) for path in written], "month": str(last)}
        click.echo(json.dumps(document, indent=1))
        return
    click.echo(f"{len(written)} files in {directory}: read {directory / 'README.md'}, then")
    click.echo(f"  export BILLING_DATA_DIR={directory}")
    click.echo("  billing check")
    click.echo(f"  billing plan {last}")


@click.command()
@click.argument("month", required=False)
@json_option
def check(month: str | None, as_json: bool) -> None:
    """Check the data directory, and rate MONTH aside (the newest with usage, if none is named).

    Prints every problem with its file and row. Nothing is published, nothing is sent.
    """
    settings = Settings.from_env()
    try:
        found, hints = check_reference(settings)
        chosen = BillingMonth.parse(month) if month else _newest_month(settings)
        if not as_json:
            filled = sum(count > 0 for count in found.values())
            click.echo(f"catalog/ and accounts/: {sum(found.values()):,} rows in {filled} tables")
            _show_hints(hints)
        rated = None
        if chosen is not None:
            settings.require_month(chosen, datetime.now(UTC))
            rated = check_month(settings, chosen)
    except InvalidInput as error:
        told = error.told(settings.home)
        if as_json:
            lines = error.lines[:MAX_LINES]
            document = {"problems": lines, "problem_count": len(error.problems), "reason": told}
            click.echo(json.dumps({"success": False, **document}, indent=1))
        else:
            click.echo(told, err=True)
        sys.exit(1)
    if as_json:
        document = {"success": True, "rows": found, "hints": hints, "month": _document(rated)}
        click.echo(json.dumps(document, default=str, indent=1))
    elif rated is None:
        click.echo("usage/ has no folder of a month yet, such as usage/2024-01/")
    else:
        _show_month(rated)


def commands() -> tuple[click.Command, ...]:
    """What `billing` takes up from here."""
    return init, check


def _newest_month(settings: Settings) -> BillingMonth | None:
    running = BillingMonth.containing(datetime.now(UTC), settings.timezone)
    months = months_with_usage(settings)
    rateable = [month for month in months if settings.first_month <= month <= running]
    return max(rateable, default=None)


def _document(rated: MonthCheck | None) -> dict[str, object] | None:
    return None if rated is None else vars(rated) | {"month": str(rated.month)}


def _show_hints(hints: dict[str, list[str]]) -> None:
    for hint, ids in hints.items():
        more = f" and {len(ids) - IDS_NAMED:,} more" if len(ids) > IDS_NAMED else ""
        click.echo(f"  for a look: {hint}: {', '.join(ids[:IDS_NAMED])}{more}")


def _show_month(rated: MonthCheck) -> None:
    console = Console(highlight=False)
    read, rejected, repeated = (
        sum(file[name] for file in rated.files)
        for name in ("rows_read", "rejected_rows", "duplicate_rows")
    )
    console.print(
        f"usage/{rated.month}/: {read:,} rows in {len(rated.files)} files, {rejected:,} set aside,"
        f" {repeated:,} repeated",
        markup=False,
    )
    if rated.problems:
        cells = [
            (row["source_file"], row["reason"], row["meter_id"], row["rows"], _rows_named(row))
            for row in rated.problems[:MAX_LINES]
        ]
        columns = ("file", "reason", "meter", "rows", "which")
        title = "Set aside, or not read by a meter: never billed"
        console.print(table(title, columns, cells, folds="file"))
        if len(rated.problems) > MAX_LINES:
            more = len(rated.problems) - MAX_LINES
            console.print(f"and {more:,} more: billing check {rated.month} --json")
    charged = ("currency", "customers", "charges", "amount")
    cells_of_charges = [
        (row["currency"], row["customers"], row["charges"], money(row["amount"], row["currency"]))
        for row in rated.charges
    ]
    title = f"What {rated.month} would be charged, before discounts and tax"
    console.print(table(title, charged, cells_of_charges))
    console.print(f"The invoices: billing plan {rated.month}")


def _rows_named(row: dict[str, object]) -> str:
    named = row["first_rows"]
    assert isinstance(named, list) and isinstance(row["rows"], int)
    texts = ", ".join(str(number) for number in named)
    return f"{texts}, …" if row["rows"] > len(named) else texts
