"""A new data directory: every input file with its header, and a page that explains each column.

What belongs here: writing it, never over anything. What does not: the columns themselves, which
are the intake's (`intake.tables`), and the texts (``README.md`` and ``example/`` beside this file).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from billing_pipeline.intake.tables import TABLES
from billing_pipeline.months import BillingMonth

USAGE_COLUMNS = (
    *("event_id", "customer_id", "event_name", "occurred_at", "quantity", "properties"),
)
_HERE = Path(__file__).parent
_EXAMPLE = re.compile(r"<!-- example: (\S+) -->")


class DirectoryInUseError(FileExistsError):
    """There is something in the folder already."""


def create(directory: Path, month: BillingMonth, *, with_example: bool) -> list[Path]:
    """Write the files; gives their paths. Raises `DirectoryInUseError`, and then writes nothing.

    The example's usage lies in `month`, so that it can be rated at once.
    """
    taken = sorted(directory.iterdir()) if directory.exists() else []
    if taken:
        raise DirectoryInUseError(
            f"{taken[0]} is there already: nothing was written. Name a new or an empty folder"
        )
    contents = dict(_contents(month, with_example))
    for path, text in contents.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text, encoding="utf-8", newline="")
    return [directory / path for path in contents]


def _contents(month: BillingMonth, with_example: bool) -> Iterator[tuple[str, str]]:
    yield "README.md", _explanations(month)
    for table in TABLES:
        path = f"{table.folder}/{table.name}.csv"
        example = _example(path, month)
        yield path, example if with_example and example else _header(table.column_names)
    usage = "events.csv" if with_example else "first.csv"
    text = _example("usage/events.csv", month) if with_example else _header(USAGE_COLUMNS)
    yield f"usage/{month}/{usage}", text


def _explanations(month: BillingMonth) -> str:
    text = _in_month((_HERE / "README.md").read_text(encoding="utf-8"), month)
    return _EXAMPLE.sub(lambda found: f"```csv\n{_example(found[1], month)}```", text)


def _example(path: str, month: BillingMonth) -> str:
    file = _HERE / "example" / path
    return _in_month(file.read_text(encoding="utf-8"), month) if file.exists() else ""


def _in_month(text: str, month: BillingMonth) -> str:
    """The example's dates. The `{month}` of a description stays: each invoice fills in its own."""
    return text.replace("YYYY-MM", str(month))


def _header(columns: tuple[str, ...] | list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(columns)
    return out.getvalue()
