"""`billing init`: a new data directory, each input file with its header, and a page about them.

What belongs here: writing the directory without overwriting anything, and composing the page. What
does not: the columns and their descriptions (``intake.reference.schemas``), the page's template and
the examples (``new_data_directory/`` beside this file).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from billing_pipeline.commands.parameters import json_option
from billing_pipeline.commands.terminal import print_json
from billing_pipeline.intake.reference.schemas import TABLES, USAGE, USAGE_COLUMNS, Column, Table
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

_TEMPLATES = Path(__file__).parent / "new_data_directory"
_USAGE_EXAMPLE = "usage/events.csv"


class DirectoryInUseError(FileExistsError):
    """There is something in the folder already."""


def create(directory: Path, month: BillingMonth, *, with_example: bool) -> list[Path]:
    """Write the files; returns their paths. If it raises `DirectoryInUseError`, nothing is written.

    The example's usage is in `month`, so that it can be rated at once.
    """
    taken = sorted(directory.iterdir()) if directory.exists() else []
    if taken:
        raise DirectoryInUseError(
            f"{taken[0]} already exists: nothing was written. Name a new or an empty folder"
        )
    contents = dict(_contents(month, with_example))
    for path, text in contents.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text, encoding="utf-8", newline="")
    return [directory / path for path in contents]


def _contents(month: BillingMonth, with_example: bool) -> Iterator[tuple[str, str]]:
    yield "README.md", input_page(str(month))
    for table in TABLES:
        path = f"{table.path}.csv"
        example = _example(path, str(month))
        yield path, example if with_example and example else _header(table.column_names)
    usage = "events.csv" if with_example else "first.csv"
    text = _example(_USAGE_EXAMPLE, str(month)) if with_example else _header(USAGE_COLUMNS)
    yield f"usage/{month}/{usage}", text


def input_page(month: str) -> str:
    """The description of each input file and column, as Markdown, with examples from a month."""
    text = _in_month((_TEMPLATES / "README.md").read_text(encoding="utf-8"), month)
    for folder in ("catalog", "accounts"):
        sections = (
            _section(table, month) for table in TABLES if table.folder.split("/")[0] == folder
        )
        text = text.replace(f"<!-- tables: {folder} -->", "\n\n".join(sections))
    usage = f"{_columns(USAGE)}\n\n{_block(_USAGE_EXAMPLE, month)}"
    return text.replace("<!-- columns: usage -->", usage)


def _section(table: Table, month: str) -> str:
    path = f"{table.path}.csv"
    title = f"### {path}: {table.description}"
    return "\n\n".join((title, _columns(table), _block(path, month)))


def _columns(table: Table) -> str:
    rows = (f"| `{column.name}` | {_explained(column)} |" for column in table.columns)
    return "\n".join(("| column | |", "| --- | --- |", *rows))


def _explained(column: Column) -> str:
    text = column.description
    if column.allowed:
        words = column.allowed_text or column.allowed
        text = f"{', '.join(f'`{word}`' for word in words)}: {text}"
    if column.required:
        return f"{text}. Never empty"
    if column.default not in (None, False):
        return f"{text}. Empty: `{str(column.default).lower()}`"
    return text


def _block(path: str, month: str) -> str:
    return f"```csv\n{_example(path, month)}```"


def _example(path: str, month: str) -> str:
    file = _TEMPLATES / "example" / path
    return _in_month(file.read_text(encoding="utf-8"), month) if file.exists() else ""


def _in_month(text: str, month: str) -> str:
    """The text with the example's dates moved to the month. `{month}` in a description stays,
    because each invoice fills in its own."""
    return text.replace("YYYY-MM", month)


def _header(columns: tuple[str, ...] | list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(columns)
    return out.getvalue()


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--example", is_flag=True, help="Fill the files with a small example company.")
@json_option
def init(directory: Path, example: bool, as_json: bool) -> None:
    """Create a data directory: every file with its header, and a README that explains them."""
    last = BillingMonth.containing(datetime.now(UTC), Settings.from_env().timezone).shift(-1)
    written = create(directory, last, with_example=example)
    if as_json:
        print_json({"success": True, "files": written, "month": last})
        return
    click.echo(f"{len(written)} files in {directory}: read {directory / 'README.md'}, then")
    click.echo(f"  export BILLING_DATA_DIR={directory}")
    click.echo("  billing check")
    click.echo(f"  billing plan {last}")
