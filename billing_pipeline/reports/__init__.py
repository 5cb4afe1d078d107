"""Questions that people ask of all months at once, each a query over the published tables.

What belongs here: one `.sql` file a question, published as a view of the file's name; it may read
published tables and computes nothing that is billed. What does not: tables of one month (dbt's
models) and how views come into the published database (``database``).

A file begins with comments: what the rows are, and one line for each column.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import takewhile


@dataclass(frozen=True)
class Report:
    """One view: its name, its query, and what it (``""``) and its columns are."""

    name: str
    query: str
    comments: dict[str, str]


@cache
def reports() -> tuple[Report, ...]:
    """All reports, by name."""
    folder = files(__name__)
    found = (item for item in folder.iterdir() if item.name.endswith(".sql"))
    return tuple(
        _parsed(item.name.removesuffix(".sql"), item.read_text(encoding="utf-8"))
        for item in sorted(found, key=lambda item: item.name)
    )


def _parsed(name: str, text: str) -> Report:
    head = takewhile(lambda line: line.startswith("-- "), text.splitlines())
    title, *described = (line.removeprefix("-- ") for line in head)
    return Report(name, text, {"": title, **dict(line.split(": ", 1) for line in described)})
